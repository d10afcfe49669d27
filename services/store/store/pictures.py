"""Pictures of products, drawn as inline SVG: a motif and a hue make one."""

from markupsafe import Markup

# `{d}` dark, `{m}` middle, `{l}` light, `{w}` nearly white: shades of the product's hue.
MOTIFS = {
    "mug": '<path d="M128 84h14a20 20 0 0 1 0 52h-16" fill="none" stroke="{d}" stroke-width="11"/>'
           '<path d="M60 66h72v70a18 18 0 0 1-18 18H78a18 18 0 0 1-18-18z" fill="{m}"/>'
           '<path d="M60 66h72v26c-24 14-48-10-72 4z" fill="{l}"/>',
    "lamp": '<path d="M96 104h8v44h-8z" fill="{d}"/><rect x="70" y="146" width="60" height="10" rx="5"'
            ' fill="{d}"/><path d="M76 46h48l20 60H56z" fill="{m}"/><path d="M76 46h20l-12 60H56z" fill="{l}"/>',
    "plant": '<path d="M100 116C98 84 74 64 50 62c2 32 22 52 50 54z" fill="{m}"/><path d="M100 116c0-36 22-62'
             ' 48-68 4 36-14 62-48 68z" fill="{d}"/><path d="M100 112c-16-26-10-54 2-72 14 20 14 50-2 72z"'
             ' fill="{l}"/><path d="M70 112h60l-8 44H78z" fill="#c9805a"/><path d="M66 106h68v14H66z" fill="#b56c48"/>',
    "vase": '<path d="M100 70V34M100 70l22-32M100 70L80 42" stroke="{d}" stroke-width="4"/><circle cx="100"'
            ' cy="32" r="9" fill="{l}"/><circle cx="124" cy="38" r="9" fill="{w}"/><circle cx="78" cy="42" r="9"'
            ' fill="{w}"/><path d="M84 66h32c-4 22 20 34 20 58 0 20-14 32-36 32s-36-12-36-32c0-24 24-36 20-58z"'
            ' fill="{m}"/><path d="M84 66h10c0 24-18 34-16 60 1 14 6 24 14 29-18-2-28-14-28-31 0-24 24-36 20-58z" fill="{l}"/>',
    "candle": '<path d="M100 40c12 14 12 26 0 30-12-4-12-16 0-30z" fill="#ffb638"/><path d="M98 68h4v16h-4z"'
              ' fill="{d}"/><rect x="66" y="82" width="68" height="74" rx="10" fill="{l}"/><path d="M66 104h68v42a10'
              ' 10 0 0 1-10 10H76a10 10 0 0 1-10-10z" fill="{m}"/><rect x="80" y="116" width="40" height="24" rx="4" fill="{w}"/>',
    "cushion": '<path d="M50 56c30 8 70 8 100 0-8 30-8 64 0 94-30-8-70-8-100 0 8-30 8-64 0-94z" fill="{m}"/>'
               '<path d="M76 60v86M100 62v82M124 60v86" stroke="{l}" stroke-width="6"/><circle cx="100" cy="103" r="8" fill="{w}"/>',
    "clock": '<circle cx="100" cy="100" r="58" fill="{m}"/><circle cx="100" cy="100" r="46" fill="{w}"/>'
             '<path d="M100 70v30l20 14" fill="none" stroke="{d}" stroke-width="6" stroke-linecap="round"'
             ' stroke-linejoin="round"/><circle cx="100" cy="100" r="5" fill="{d}"/>',
    "bowl": '<ellipse cx="100" cy="88" rx="60" ry="16" fill="{d}"/><path d="M40 88c0 40 24 62 60 62s60-22 60-62c-10'
            ' 20-110 20-120 0z" fill="{m}"/><path d="M40 88c0 40 24 62 60 62-28-10-44-30-44-50-8-3-14-7-16-12z" fill="{l}"/>'
            '<rect x="80" y="148" width="40" height="8" rx="4" fill="{d}"/>',
    "bag": '<path d="M64 58h72l8 98H56z" fill="{m}"/><path d="M64 58h72l2 20H62z" fill="{d}"/><path d="M70 42h60l6'
           ' 18H64z" fill="{l}"/><rect x="76" y="94" width="48" height="42" rx="6" fill="{w}"/><ellipse cx="100" cy="115"'
           ' rx="11" ry="15" fill="{d}"/><path d="M102 101c-8 10 4 18-4 28" fill="none" stroke="{w}" stroke-width="3"/>',
    "kettle": '<path d="M70 72c0-40 60-40 60 0" fill="none" stroke="{d}" stroke-width="9"/><path d="M66 116L36 78l-8'
              ' 4 34 62z" fill="{d}"/><path d="M72 74h56l18 70a12 12 0 0 1-12 12H66a12 12 0 0 1-12-12z" fill="{m}"/>'
              '<path d="M72 74h18l-14 82H66a12 12 0 0 1-12-12z" fill="{l}"/><circle cx="100" cy="68" r="7" fill="{d}"/>',
    "dripper": '<path d="M52 52h96l-34 52H86z" fill="{m}"/><path d="M52 52h24l24 52H86z" fill="{l}"/><rect x="72"'
               ' y="102" width="56" height="8" rx="4" fill="{d}"/><path d="M78 114h44l12 34a8 8 0 0 1-8 8H74a8 8 0 0 1-8-8z"'
               ' fill="{w}"/><path d="M71 134h58l5 14a8 8 0 0 1-8 8H74a8 8 0 0 1-8-8z" fill="#7a4a2b"/>',
    "tin": '<rect x="62" y="62" width="76" height="94" rx="8" fill="{m}"/><rect x="58" y="48" width="84" height="20"'
           ' rx="8" fill="{d}"/><circle cx="100" cy="112" r="24" fill="{w}"/><path d="M88 114c6-16 18-16 24 0-6 14-18 14-24 0z" fill="{d}"/>',
}


def picture(motif, hue):
    shades = {"d": (42, 30), "m": (46, 52), "l": (54, 68), "w": (60, 93)}
    colours = {name: f"hsl({hue},{s}%,{l}%)" for name, (s, l) in shades.items()}
    drawing = MOTIFS.get(motif, MOTIFS["bag"]).format(**colours)
    return Markup(
        f'<svg class="picture" viewBox="0 0 200 200" aria-hidden="true"><rect width="200" height="200"'
        f' fill="hsl({hue},38%,91%)"/><circle cx="100" cy="100" r="78" fill="hsl({hue},44%,85%)"/>'
        f'<ellipse cx="100" cy="160" rx="52" ry="6" fill="hsl({hue},30%,70%)"/>{drawing}</svg>'
    )
