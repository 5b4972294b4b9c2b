// Nothing: the icons are drawn by fonts, and the theme's file of this name would draw them once more, for half a megabyte.
