// Where each cell of the grid lies, and which one a key or a point leads to. Knows no document.

const SMALLEST = 5, LARGEST = 32; // the pitch of cells, in pixels of the page

/**
 * The largest cells with which so many fit into the width and, if possible, the height. There is some room for more, so that not
 * every newcomer changes the layout.
 */
export function layout(count, width, height, ratio = 1) {
  const capacity = Math.max(24, Math.ceil(count * 1.04));
  let pitch = SMALLEST;
  for (let wanted = LARGEST; wanted >= SMALLEST; wanted--) {
    const columns = Math.floor(width / wanted);
    if (columns > 0 && Math.ceil(capacity / columns) * wanted <= height) {
      pitch = wanted;
      break;
    }
  }
  const device = Math.max(1, Math.round(pitch * ratio)); // whole pixels of the screen, so that all cells look the same
  const columns = Math.max(1, Math.floor((width * ratio) / device));
  const rows = Math.ceil(capacity / columns);
  return { columns, rows, device, pitch: device / ratio, width, height, ratio, capacity: columns * rows };
}

/** Whether a layout still suits: everybody fits, and it is not much too small or too large. */
export function suits(now, count, width, height, ratio) {
  return now !== null && now.width === width && now.height === height && now.ratio === ratio && count <= now.capacity
    && (count > now.capacity / 2 || now.pitch >= LARGEST - 1 || count < 1);
}

/** The cell at a point of the canvas, in pixels of the page, or -1. */
export function cellAt(now, x, y) {
  const column = Math.floor(x / now.pitch), row = Math.floor(y / now.pitch);
  return column >= 0 && column < now.columns && row >= 0 && row < now.rows ? row * now.columns + column : -1;
}

/**
 * The occupied cell that a key leads to. Left and right go through all of them in order, up and down stay in the column. Home
 * and End lead to the first and the last, Page Up and Page Down ten rows on. Null for any other key.
 */
export function step(key, from, now, isThere, count) {
  const search = (start, by) => {
    for (let cell = start; cell >= 0 && cell < count; cell += by) if (isThere(cell)) return cell;
    return from;
  };
  const far = (by) => {
    const aim = Math.max(0, Math.min(count - 1, from + by));
    const found = search(aim, by > 0 ? -1 : 1);
    return (found - from) * by > 0 ? found : from;
  };
  switch (key) {
    case 'ArrowRight': return search(from + 1, 1);
    case 'ArrowLeft': return search(from - 1, -1);
    case 'ArrowDown': return search(from + now.columns, now.columns);
    case 'ArrowUp': return search(from - now.columns, -now.columns);
    case 'Home': return search(0, 1);
    case 'End': return search(count - 1, -1);
    case 'PageDown': return far(10 * now.columns);
    case 'PageUp': return far(-10 * now.columns);
    default: return null;
  }
}
