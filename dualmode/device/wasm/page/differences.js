// What a second pass changed, word by word.

/** Returns parts in order, {kind: "same" | "added" | "gone", text}: the fewest words that are added or gone. */
export function differences(before, after) {
  const a = before.split(" ").filter(Boolean);
  const b = after.split(" ").filter(Boolean);
  // common[i][j]: words that a from i on and b from j on have in common.
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; --i)
    for (let j = b.length - 1; j >= 0; --j)
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  const parts = [];
  const add = (kind, word) => {
    if (parts.at(-1)?.kind === kind) parts.at(-1).text += ` ${word}`;
    else parts.push({ kind, text: word });
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      add("same", a[i++]);
      ++j;
    } else if (j === b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) add("gone", a[i++]);
    else add("added", b[j++]);
  }
  return parts;
}

/** Puts the parts into an element: words that are gone crossed out, those that came underlined, and both said. */
export function mark(element, parts) {
  element.replaceChildren();
  for (const { kind, text } of parts) {
    if (element.hasChildNodes()) element.append(" ");
    if (kind === "same") {
      element.append(text);
      continue;
    }
    const part = document.createElement(kind === "added" ? "ins" : "del");
    const spoken = document.createElement("span");
    spoken.className = "spoken";
    spoken.textContent = kind === "added" ? "corrected: " : "not: ";
    part.append(spoken, text);
    element.append(part);
  }
}
