"""Side-by-side measurements of training recipes, on one machine in one run: `make bench`."""
