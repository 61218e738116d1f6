"""Just enough SVG for the pictures of the book: text, boxes, lines, in colours that follow light and dark.

Every picture is 480 wide, so that it is readable on a telephone, and brings its own background, so that it is readable
whatever the page's theme is.
"""

from xml.sax.saxutils import escape

WIDTH = 480

STYLE = """
  svg { --back: #fbfaf7; --ink: #24292f; --soft: #6a737d; --line: #c9ced4; --box: #ffffff;
        --good: #1a7f5a; --bad: #c2410c; --other: #6d5bd0; --fill: #e3f2ec; --warm: #fdebdf; --cool: #ebe8fb; }
  @media (prefers-color-scheme: dark) {
    svg { --back: #1c2128; --ink: #e6e8eb; --soft: #9aa4af; --line: #4a525c; --box: #262c35;
          --good: #5fd3a5; --bad: #ff9b6a; --other: #b1a4ff; --fill: #1d3a31; --warm: #43291b; --cool: #2e2a52; }
  }
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 14px; fill: var(--ink); }
  .mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; }
  .small { font-size: 12px; } .soft { fill: var(--soft); } .bold { font-weight: 600; }
  .good { fill: var(--good); } .bad { fill: var(--bad); } .other { fill: var(--other); }
"""


class Picture:
    def __init__(self, height, title):
        self.height = height
        self.title = title
        self.parts = []

    def text(self, x, y, text, style="", anchor="start"):
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>')

    def lines(self, x, y, lines, style="", anchor="start", step=18):
        for n, line in enumerate(lines):
            self.text(x, y + n * step, line, style, anchor)

    def box(self, x, y, width, height, fill="--box", stroke="--line", radius=6, dashed=False):
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}"'
            f' style="fill:var({fill});stroke:var({stroke})"{dash}/>'
        )

    def bar(self, x, y, width, height, fill):
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2" style="fill:var({fill})"/>'
        )

    def line(self, points, stroke="--line", width=1.5, arrow=False, dashed=False):
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = ' marker-end="url(#arrow)"' if arrow else ""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(
            f'<polyline points="{path}" style="fill:none;stroke:var({stroke});stroke-width:{width}"{end}{dash}/>'
        )

    def dot(self, x, y, fill):
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="3.5" style="fill:var({fill})"/>')

    def render(self):
        body = "\n".join("  " + part for part in self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height:g}" width="{WIDTH}"'
            f' height="{self.height:g}" role="img" aria-label="{escape(self.title, {chr(34): "&quot;"})}">\n'
            f"<style>{STYLE}</style>\n"
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto-start-reverse"><path d="M0,0 L8,4 L0,8 z" style="fill:var(--soft)"/></marker></defs>\n'
            f'  <rect width="{WIDTH}" height="{self.height:g}" rx="8" style="fill:var(--back)"/>\n'
            f"{body}\n</svg>\n"
        )
