"""A voucher's code as a picture that a till can scan."""

import segno

SCALE = 4


def qr_svg(code: str) -> str:
    """The QR code of a normalised code (ISO/IEC 18004, level M, quiet zone 4): an SVG element as large as its place."""
    svg: str = segno.make_qr(code, error="m").svg_inline(scale=SCALE, omitsize=True, border=4)
    return svg
