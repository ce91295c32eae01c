"""Dense layers behind maps laid flat."""


def flattened(height, width):
    """Makes a function that turns a dense kernel behind maps flattened channels first, `(d, c h w)`, into ours."""

    def turn(a, variable):
        a = a.reshape(a.shape[0], -1, height, width)  # (d, c, h, w)
        return a.transpose(2, 3, 1, 0).reshape(-1, a.shape[0])

    return turn
