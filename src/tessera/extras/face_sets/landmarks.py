"""Landmarks of faces: the 68 points of iBUG 300-W, their mean positions, and what landmarks cannot be used.

Points 0 to 16 are the jaw, 17 to 26 the brows, 27 to 35 the nose, 36 to 47 the eyes, 48 to 67 the mouth; left means left in the
picture. A detector such as CenterFace gives five: both eyes, the tip of the nose, and both corners of the mouth.
"""

import numpy as np

from tessera.core.errors import Failed

# Means of points 17 to 67 in a square of side 1, y downwards: dlib, dlib/image_transforms/interpolation.h (Boost licence).
# DeepFaceLab aligns to the same numbers.
_MEAN = (
    *((0.000213256, 0.106454), (0.0752622, 0.038915), (0.18113, 0.0187482), (0.29077, 0.0344891), (0.393397, 0.0773906)),
    *((0.586856, 0.0773906), (0.689483, 0.0344891), (0.799124, 0.0187482), (0.904991, 0.038915), (0.98004, 0.106454)),
    *((0.490127, 0.203352), (0.490127, 0.307009), (0.490127, 0.409805), (0.490127, 0.515625), (0.36688, 0.587326)),
    *((0.426036, 0.609345), (0.490127, 0.628106), (0.554217, 0.609345), (0.613373, 0.587326), (0.121737, 0.216423)),
    *((0.187122, 0.178758), (0.265825, 0.179852), (0.334606, 0.231733), (0.260918, 0.245099), (0.182743, 0.244077)),
    *((0.645647, 0.231733), (0.714428, 0.179852), (0.793132, 0.178758), (0.858516, 0.216423), (0.79751, 0.244077)),
    *((0.719335, 0.245099), (0.254149, 0.780233), (0.340985, 0.745405), (0.428858, 0.727388), (0.490127, 0.742578)),
    *((0.551395, 0.727388), (0.639268, 0.745405), (0.726104, 0.780233), (0.642159, 0.864805), (0.556721, 0.902192)),
    *((0.490127, 0.909281), (0.423532, 0.902192), (0.338094, 0.864805), (0.290379, 0.784792), (0.428096, 0.778746)),
    *((0.490127, 0.785343), (0.552157, 0.778746), (0.689874, 0.784792), (0.553364, 0.824182), (0.490127, 0.831803)),
    (0.42689, 0.824182),
)
# Points 0 to 35 of a head in space, millimetres; x to the right of the picture, y downwards, z away from the camera. They are
# the mean shape of OpenFace's in-the-wild model (Baltrušaitis et al., "OpenFace 2.0", 2018). DeepFaceLab has the same numbers.
_HEAD = (
    *((-73.393523, -29.801432, 47.667532), (-72.775014, -10.949766, 45.909403), (-70.533638, 7.929818, 44.842580)),
    *((-66.850058, 26.074280, 43.141114), (-59.790187, 42.564390, 38.635298), (-48.368973, 56.481080, 30.750622)),
    *((-34.121101, 67.246992, 18.456453), (-17.875411, 75.056892, 3.609035), (0.098749, 77.061286, -0.881698)),
    *((17.477031, 74.758448, 5.181201), (32.648966, 66.929021, 19.176563), (46.372358, 56.311389, 30.770570)),
    *((57.343480, 42.419126, 37.628629), (64.388482, 25.455880, 40.886309), (68.212038, 6.990805, 42.281449)),
    *((70.486405, -11.666193, 44.142567), (71.375822, -30.365191, 47.140426), (-61.119406, -49.361602, 14.254422)),
    *((-51.287588, -58.769795, 7.268147), (-37.804800, -61.996155, 0.442051), (-24.022754, -61.033399, -6.606501)),
    *((-11.635713, -56.686759, -11.967398), (12.056636, -57.391033, -12.051204), (25.106256, -61.902186, -7.315098)),
    *((38.338588, -62.777713, -1.022953), (51.191007, -59.302347, 5.349435), (60.053851, -50.190255, 11.615746)),
    *((0.653940, -42.193790, -13.380835), (0.804809, -30.993721, -21.150853), (0.992204, -19.944596, -29.284036)),
    *((1.226783, -8.414541, -36.948060), (-14.772472, 2.598255, -20.132003), (-7.180239, 4.751589, -23.536684)),
    *((0.555920, 6.562900, -25.944448), (8.272499, 4.661005, -23.695741), (15.214351, 2.643046, -20.858157)),
)
MEAN_FACE = np.array(_MEAN)  # float64 (51, 2): the mean positions of points 17 to 67
HEAD = np.array(_HEAD)  # float64 (36, 3): points 0 to 35 in space

COUNT = 68
_FIRST = 17  # the point whose mean is the first of `MEAN_FACE`


def five_points(points: np.ndarray) -> np.ndarray:
    """Return the left and right eye, the tip of the nose, and the left and right corner of the mouth: float64 (5, 2).

    `points`: (68, 2), or (51, 2) without the jaw. An eye is the mean of its six points.
    """
    inner = points[-len(MEAN_FACE) :]
    eyes = [inner[first - _FIRST : first - _FIRST + 6].mean(axis=0) for first in (36, 42)]
    return np.stack([*eyes, *(inner[point - _FIRST] for point in (30, 48, 54))])


MEAN_FIVE = five_points(MEAN_FACE)


def check_landmarks(landmarks: np.ndarray, height: int, width: int, counts: tuple[int, ...] = (COUNT,)) -> np.ndarray:
    """Return the `landmarks` in a picture of `height` by `width` pixels as float64 (N, 2), where N is one of `counts`.

    Landmarks may lie outside the picture, since a face at its border is cut off. Raises `Failed` if none lies inside, if one
    is farther outside than the picture is long, if one is not finite, if all lie within a pixel, or if N is another.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in counts:
        expected = " or ".join(map(str, counts))
        raise Failed(
            "wrong number of landmarks", f"an array of shape {points.shape}; {expected} points with x and y are needed"
        )
    if not np.isfinite(points).all():
        number = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise Failed("landmarks not finite", f"point {number} is {tuple(points[number].tolist())}")
    size = np.array([width, height])
    is_inside = ((points >= 0) & (points < size)).all(axis=1)
    is_far = ((points < -size) | (points > 2 * size)).any(axis=1)
    if not is_inside.any() or is_far.any():
        number = int(np.flatnonzero(is_far if is_far.any() else ~is_inside)[0])
        x, y = points[number]
        raise Failed("landmarks outside the picture", f"point {number} is ({x:.6g}, {y:.6g}) in {width} by {height} pixels")
    if np.ptp(points, axis=0).max() < 1:
        x, y = points[0]
        raise Failed("landmarks at one point", f"all {len(points)} lie within a pixel of ({x:.6g}, {y:.6g})")
    return points
