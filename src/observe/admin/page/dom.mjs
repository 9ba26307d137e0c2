// Elements of the document. Whatever is shown becomes text or an attribute here: nothing that a peer sends is ever markup.

export const by = (id) => document.getElementById(id);

/** A new element with attributes and children; a child that is no element is text. */
export function element(name, attributes = {}, ...children) {
  return furnish(document.createElement(name), attributes, children);
}

/** The same in SVG. */
export function svg(name, attributes = {}, ...children) {
  return furnish(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function furnish(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** Sets the text only if it is another: a screen reader and a selection are not disturbed by what stays the same. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** The sign of a group of reasons, whose shape tells as much as its colour. */
export function glyph(group) {
  const shapes = {
    dead: 'M2 2l8 8m0-8l-8 8', // a cross
    reset: 'M7 1L3 6.5h6L5 11', // a flash
    limit: 'M1.5 6h9M6 1.5v9', // a plus
    ours: 'M2 6h8', // a bar
    left: 'M6 2.2a3.8 3.8 0 1 0 .01 0', // a ring
  };
  return svg('svg', { viewBox: '0 0 12 12', class: 'glyph', 'data-group': group, 'aria-hidden': 'true' }, svg('path', { d: shapes[group] }));
}
