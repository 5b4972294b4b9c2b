"""RandomAffine: what it may change, what it must leave alone, and what it refuses."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_utils.augment import RandomAffine

RANGES = {"rotation": 10, "zoom": 0.1, "shift": 0.1}


def images_of(n=4, height=28, width=28, channels=1, seed=0):
    return np.random.default_rng(seed).random((n, height, width, channels), dtype=np.float32)


def bar(height=28, width=28):
    """Return one image of an upright bar, symmetric about the image's centre."""
    image = np.zeros((1, height, width, 1), np.float32)
    image[:, height // 2 - 8 : height // 2 + 8, width // 2 - 2 : width // 2 + 2] = 1
    return image


def centre_of_mass(image):
    plane = np.asarray(image)[..., 0]
    rows, columns = np.indices(plane.shape)
    return np.array([(plane * rows).sum(), (plane * columns).sum()]) / plane.sum()


def axis_angle(image):
    """Return the angle in degrees between the ink's long axis and the vertical."""
    plane = np.asarray(image)[..., 0]
    rows, columns = np.indices(plane.shape) - centre_of_mass(image)[:, None, None]
    covariance = np.cov(
        np.stack([rows.ravel(), columns.ravel()]), aweights=plane.ravel().clip(min=0)
    )
    long_axis = np.linalg.eigh(covariance)[1][:, -1]
    return np.degrees(np.arctan2(long_axis[1], long_axis[0])) % 180


@pytest.fixture
def draw(monkeypatch):
    """Let a test choose the five draws in [-1, 1]: angle, zoom x, zoom y, shift x, shift y."""

    def choose(*draws):
        monkeypatch.setattr(
            keras.random,
            "uniform",
            lambda shape, low, high, seed: keras.ops.tile(
                keras.ops.convert_to_tensor(draws, "float32")[:, None], (1, shape[1])
            ),
        )

    return choose


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    rotation=st.floats(0, 180),
    zoom=st.floats(0, 0.9),
    shift=st.floats(0, 0.9),
    seed=st.integers(0, 2**31 - 1),
)
def test_shape_dtype_and_range_are_kept(n, channels, rotation, zoom, shift, seed):
    images = images_of(n, channels=channels, seed=seed)
    changed = np.array(RandomAffine(rotation, zoom, shift, seed=seed)(images, training=True))
    assert changed.shape == images.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    # Bilinear weights sum to one, up to rounding.
    assert changed.min() >= -1e-6
    assert changed.max() <= 1 + 1e-6


def test_every_image_gets_its_own_change():
    changed = np.array(RandomAffine(seed=0)(np.repeat(images_of(1), 8, axis=0), training=True))
    assert len(np.unique(changed.reshape(8, -1), axis=0)) == 8


def test_new_draws_at_every_call():
    layer, images = RandomAffine(seed=0), images_of()
    assert not np.array_equal(layer(images, training=True), layer(images, training=True))


def test_images_that_are_not_square():
    images = images_of(2, height=20, width=30)
    assert RandomAffine(seed=0)(images, training=True).shape == (2, 20, 30, 1)
    assert np.array_equal(RandomAffine(0, 0, 0)(images, training=True), images)


def test_bright_images_may_use_any_scale():
    changed = np.array(RandomAffine(seed=0)(255 * images_of(), training=True))
    assert 200 < changed.max() <= 255.001


def test_inactive_when_predicting():
    layer, images = RandomAffine(seed=0), images_of()
    assert np.array_equal(layer(images, training=False), images)
    assert np.array_equal(layer(images), images)
    model = keras.Sequential([keras.layers.Input((28, 28, 1)), layer])
    assert np.array_equal(model.predict(images, verbose=0), images)


def test_zero_ranges_change_nothing_at_all():
    images = images_of(16)
    assert np.array_equal(RandomAffine(0, 0, 0, seed=0)(images, training=True), images)


@pytest.mark.parametrize("angle", [-1, -0.5, 0.5, 1])
def test_rotates_about_the_centre_by_the_angle_drawn(draw, angle):
    draw(angle, 0, 0, 0, 0)
    turned = np.array(RandomAffine(rotation=40, zoom=0, shift=0)(bar(), training=True))[0]
    assert centre_of_mass(turned) == pytest.approx([13.5, 13.5], abs=1e-3)
    assert min(axis_angle(turned), 180 - axis_angle(turned)) == pytest.approx(
        abs(40 * angle), abs=1.0
    )


def test_opposite_draws_rotate_in_opposite_directions(draw):
    layer = RandomAffine(rotation=30, zoom=0, shift=0)
    draw(1, 0, 0, 0, 0)
    one = axis_angle(np.array(layer(bar(), training=True))[0])
    draw(-1, 0, 0, 0, 0)
    other = axis_angle(np.array(layer(bar(), training=True))[0])
    assert one + other == pytest.approx(180, abs=1.0)


def test_half_a_turn_is_the_image_upside_down(draw):
    draw(1, 0, 0, 0, 0)
    images = images_of(2)
    turned = np.array(RandomAffine(rotation=180, zoom=0, shift=0)(images, training=True))
    assert turned == pytest.approx(images[:, ::-1, ::-1], abs=1e-3)


@pytest.mark.parametrize("horizontal, vertical", [(1, 0), (0, 1), (-1, 0), (0, -1), (0.5, -0.5)])
def test_a_pure_shift_moves_the_centre_of_mass_by_its_fraction(draw, horizontal, vertical):
    draw(0, 0, 0, horizontal, vertical)
    image = bar(height=40, width=30)
    moved = np.array(RandomAffine(rotation=0, zoom=0, shift=0.1)(image, training=True))[0]
    down, right = centre_of_mass(moved) - centre_of_mass(image[0])
    # Height and width count separately. The matrix maps output to input, hence the sign.
    assert down == pytest.approx(-4 * vertical, abs=1e-3)
    assert right == pytest.approx(-3 * horizontal, abs=1e-3)
    assert moved.sum() == pytest.approx(image.sum(), rel=1e-3)


def test_zoom_stretches_height_and_width_separately_and_keeps_the_centre(draw):
    draw(0, -1, 0, 0, 0)  # the input is read in smaller steps along x: the ink gets wider
    image = bar()
    zoomed = np.array(RandomAffine(rotation=0, zoom=0.5, shift=0)(image, training=True))[0]
    assert centre_of_mass(zoomed) == pytest.approx([13.5, 13.5], abs=1e-3)
    assert zoomed.sum(axis=1).max() == pytest.approx(2 * image[0].sum(axis=1).max(), rel=0.05)
    assert zoomed.sum(axis=0).max() == pytest.approx(image[0].sum(axis=0).max(), rel=1e-3)


def test_what_enters_the_frame_is_background(draw):
    draw(0, 0, 0, 1, 0)
    ink = np.ones((1, 28, 28, 1), np.float32)
    moved = np.array(RandomAffine(rotation=0, zoom=0, shift=0.25)(ink, training=True))[0, ..., 0]
    assert np.array_equal(np.sort(moved.mean(axis=0))[:7], np.zeros(7))
    assert np.array_equal(np.sort(moved.mean(axis=0))[7:], np.ones(21))


def test_draws_cover_the_ranges_evenly():
    layer = RandomAffine(rotation=0, zoom=0, shift=0.1, seed=0)
    moved = np.array(layer(np.repeat(bar(), 2000, axis=0), training=True))
    moves = np.array([centre_of_mass(image) for image in moved]) - 13.5
    for along in moves.T:
        assert -2.81 < along.min() < -2.7
        assert 2.7 < along.max() < 2.81
        assert np.histogram(along, 4, (-2.8, 2.8))[0] == pytest.approx([500] * 4, abs=90)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.1


def test_angles_cover_the_range():
    layer = RandomAffine(rotation=20, zoom=0, shift=0, seed=0)
    turned = np.array(layer(np.repeat(bar(), 500, axis=0), training=True))
    angles = np.array([(axis_angle(image) + 90) % 180 - 90 for image in turned])
    assert -21 < angles.min() < -19
    assert 19 < angles.max() < 21
    assert abs(angles.mean()) < 2


def test_a_seed_repeats_and_another_differs():
    images = images_of()
    once = np.array(RandomAffine(seed=3)(images, training=True))
    assert np.array_equal(once, RandomAffine(seed=3)(images, training=True))
    assert not np.array_equal(once, RandomAffine(seed=4)(images, training=True))


def test_serialises(tmp_path):
    layer = RandomAffine(rotation=15, zoom=0.2, shift=0.05, seed=3, name="affine")
    again = RandomAffine.from_config(layer.get_config())
    assert (again.rotation, again.zoom, again.shift, again.seed) == (15, 0.2, 0.05, 3)
    assert again.name == "affine"

    model = keras.Sequential([keras.layers.Input((28, 28, 1)), layer, keras.layers.Flatten()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[0], RandomAffine)
    assert loaded.layers[0].get_config() == layer.get_config()
    images = images_of()
    assert np.array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))


def test_output_shape_is_known_before_running():
    symbolic = RandomAffine()(keras.Input((28, 28, 1)))
    assert symbolic.shape == (None, 28, 28, 1)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("rotation", -1, "rotation is -1; expected degrees from 0 to 180"),
        ("rotation", 181, "rotation is 181; expected degrees from 0 to 180"),
        ("rotation", float("nan"), "rotation is nan; expected degrees"),
        ("rotation", "10", "rotation is '10'; expected degrees"),
        ("zoom", -0.1, "zoom is -0.1; expected a fraction of the image's size"),
        ("zoom", 1, "zoom is 1; expected a fraction of the image's size, from 0 to below 1"),
        ("zoom", (0.9, 1.1), r"zoom is \(0.9, 1.1\); expected a fraction"),
        ("shift", 2.8, "shift is 2.8; expected a fraction of the image's size"),
        ("shift", None, "shift is None; expected a fraction"),
        ("shift", True, "shift is True; expected a fraction"),
    ],
)
def test_ranges_out_of_bounds_are_refused(name, value, expected):
    with pytest.raises(ValueError, match=expected):
        RandomAffine(**{**RANGES, name: value})


@pytest.mark.parametrize("edge", [{"rotation": 180}, {"rotation": 0}, {"zoom": 0.99}, {"shift": 0}])
def test_the_ends_of_the_ranges_are_allowed(edge):
    RandomAffine(**{**RANGES, **edge})


def test_a_single_image_without_batch_axis_is_refused():
    with pytest.raises(ValueError, match="expected ndim=4"):
        RandomAffine()(images_of()[0], training=True)


@pytest.mark.parametrize("slant", [-1, 0.5])
def test_slants_rows_sideways_about_the_centre(draw, slant):
    draw(0, 0, 0, 0, 0, slant)
    image = np.zeros((1, 29, 29, 1), np.float32)
    image[0, 4::10, 14] = 1  # dots 10 pixels above the centre, at it, and 10 below
    layer = RandomAffine(rotation=0, zoom=0, shift=0, shear=0.4)
    moved = np.array(layer(image, training=True))[0, ..., 0]
    columns = [int(moved[row].argmax()) for row in (4, 14, 24)]
    assert columns == [14 + round(4 * slant), 14, 14 - round(4 * slant)]


def test_a_slant_takes_a_draw_of_its_own_only_when_wanted(monkeypatch):
    images, shapes = images_of(), []
    uniform = keras.random.uniform
    monkeypatch.setattr(
        keras.random,
        "uniform",
        lambda shape, *rest, **more: shapes.append(shape) or uniform(shape, *rest, **more),
    )
    plain = RandomAffine(seed=3)(images, training=True)
    slanted = RandomAffine(seed=3, shear=0.2)(images, training=True)
    assert [shape[0] for shape in shapes] == [5, 6]
    assert not np.array_equal(plain, slanted)
    assert RandomAffine.from_config(RandomAffine(shear=0.2).get_config()).shear == 0.2
    with pytest.raises(ValueError, match="shear is -0.1; expected pixels sideways"):
        RandomAffine(shear=-0.1)
