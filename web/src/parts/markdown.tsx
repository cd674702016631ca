// Guides are markdown written by people: drawn as React elements, never as HTML, so no text can become a script.
import type { ReactNode } from "react";

type Block = { kind: string; lines: string[]; level?: number };

export function Markdown({ text }: { text: string }) {
  return <div className="prose">{blocks(text).map(draw)}</div>;
}

export function blocks(text: string): Block[] {
  const found: Block[] = [];
  let fence = false;
  for (const line of text.replaceAll("\r\n", "\n").split("\n")) {
    if (/^\s*```/.test(line)) {
      fence = !fence;
      if (fence) found.push({ kind: "code", lines: [] });
      continue;
    }
    const last = found.at(-1);
    if (fence && last) {
      last.lines.push(line);
      continue;
    }
    const next = classify(line);
    const continues = last && last.kind === next.kind && !["heading", "blank"].includes(next.kind);
    if (continues) last.lines.push(...next.lines);
    else if (last && ["ul", "ol"].includes(last.kind) && /^\s{2,}\S/.test(line) && next.kind === "p") {
      last.lines[last.lines.length - 1] += ` ${line.trim()}`;
    } else found.push(next);
  }
  return found.filter((block) => block.kind !== "blank");
}

function classify(line: string): Block {
  const heading = /^(#{1,6})\s+(.*)$/.exec(line);
  if (heading) return { kind: "heading", level: heading[1]!.length, lines: [heading[2]!] };
  const bullet = /^\s*[-*+]\s+(.*)$/.exec(line);
  if (bullet) return { kind: "ul", lines: [bullet[1]!] };
  const step = /^\s*\d+[.)、]\s*(.*)$/.exec(line);
  if (step) return { kind: "ol", lines: [step[1]!] };
  if (/^\s*>/.test(line)) return { kind: "quote", lines: [line.replace(/^\s*>\s?/, "")] };
  if (/^\s*\|.*\|\s*$/.test(line)) return { kind: "table", lines: [line.trim()] };
  if (/^\s*(---+|\*\*\*+)\s*$/.test(line)) return { kind: "rule", lines: [] };
  return line.trim() ? { kind: "p", lines: [line.trim()] } : { kind: "blank", lines: [] };
}

function draw(block: Block, index: number): ReactNode {
  const items = block.lines.map((line, row) => <li key={row}>{inline(line.replace(/^\[( |x)\]\s/i, "☐ "))}</li>);
  switch (block.kind) {
    case "heading":
      return block.level! <= 2 ? <h3 key={index}>{inline(block.lines[0]!)}</h3> : <h4 key={index}>{inline(block.lines[0]!)}</h4>;
    case "ul":
      return <ul key={index}>{items}</ul>;
    case "ol":
      return <ol key={index}>{items}</ol>;
    case "quote":
      return <blockquote key={index}>{inline(block.lines.join(" "))}</blockquote>;
    case "code":
      return <pre key={index} tabIndex={0}><code>{block.lines.join("\n")}</code></pre>;
    case "rule":
      return <hr key={index} />;
    case "table":
      return table(block.lines, index);
    default:
      return <p key={index}>{inline(block.lines.join(" "))}</p>;
  }
}

function table(lines: string[], index: number): ReactNode {
  const rows = lines
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
    .filter((cells) => !cells.every((cell) => /^:?-+:?$/.test(cell)));
  const [head, ...body] = rows;
  return (
    <table key={index}>
      <thead><tr>{head?.map((cell, column) => <th key={column} scope="col">{inline(cell)}</th>)}</tr></thead>
      <tbody>
        {body.map((cells, row) => <tr key={row}>{cells.map((cell, column) => <td key={column}>{inline(cell)}</td>)}</tr>)}
      </tbody>
    </table>
  );
}

const MARKS = /(\*\*[^*]+\*\*|__[^_]+__|\*[^*\s][^*]*\*|`[^`]+`|\[[^\]]+\]\([^)\s]+\))/g;

function inline(text: string): ReactNode[] {
  return text.split(MARKS).map((piece, index) => {
    if (/^(\*\*|__).+\1$/.test(piece)) return <strong key={index}>{piece.slice(2, -2)}</strong>;
    if (/^\*.+\*$/.test(piece)) return <em key={index}>{piece.slice(1, -1)}</em>;
    if (/^`.+`$/.test(piece)) return <code key={index}>{piece.slice(1, -1)}</code>;
    const link = /^\[([^\]]+)\]\(([^)\s]+)\)$/.exec(piece);
    if (link) return anchor(link[1]!, link[2]!, index);
    return piece;
  });
}

/** Only plain web addresses and our own routes become links; `javascript:` and the like stay text. */
function anchor(label: string, target: string, index: number): ReactNode {
  if (/^(https?:\/\/|#\/|mailto:)/i.test(target)) {
    return <a key={index} href={target} rel="noreferrer noopener">{label}</a>;
  }
  return label;
}
