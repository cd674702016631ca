"""Sets one document as PDF: JSON on standard input, the file on standard output. Run by path, isolated, with limits.

Texts and plots come in as data, never as markup. The folder that typst may read from holds its template alone.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

MEMORY_BYTES = 2 << 30  # of address space: fonts are mapped, not read
CPU_S = 50
TEMPLATE = r"""
#let said = json(bytes(sys.inputs.said))
#set page(paper: "a4", margin: 1.6cm, footer: context align(right,
  text(size: 8pt)[#counter(page).display("1 / 1", both: true)]))
#set text(size: 8.5pt, font: ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei",
  "PingFang SC", "Microsoft YaHei", "Droid Sans Fallback", "DejaVu Sans", "Libertinus Serif"), fallback: true)
#text(size: 14pt, weight: "bold", said.title)
#for part in said.sections {
  block(above: 1.2em, text(size: 10.5pt, weight: "bold", part.heading))
  for note in part.notes { block(text(fill: luma(35%), note)) }
  if part.rows.len() > 0 {
    table(
      columns: part.heads.len(),
      stroke: (x, y) => (bottom: 0.4pt + luma(80%)),
      inset: 3pt,
      table.header(..part.heads.map(each => strong(each))),
      ..part.rows.flatten(),
    )
  }
  for plot in part.plots { image(bytes(plot), format: "svg", width: 100%) }
}
"""


def main(folder: str, fonts: list[str]) -> None:
    import typst

    said = sys.stdin.buffer.read().decode()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    page = Path(folder, "report.typ")
    page.write_text(TEMPLATE, encoding="utf-8")
    made = typst.compile(
        page, root=Path(folder), font_paths=[Path(each) for each in fonts], sys_inputs={"said": said}, format="pdf"
    )
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
