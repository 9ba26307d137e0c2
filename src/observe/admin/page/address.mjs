// Addresses as they are written, and which of them a filter lets through.
//
// Owns the reading of IPv4 and IPv6 addresses and of networks (CIDR). Knows no document.

/** "192.0.2.1:5000", "[2001:db8::1]:5000" or an address alone → its address without port and brackets. */
export function host(address) {
  if (address.startsWith('[')) return address.slice(1, address.indexOf(']')).split('%')[0];
  const colon = address.indexOf(':');
  return colon >= 0 && colon === address.lastIndexOf(':') ? address.slice(0, colon) : address.split('%')[0];
}

/** The bytes of an address, 4 or 16 of them, or null. An IPv4 address within IPv6 (::ffff:192.0.2.1) is that IPv4 address. */
export function octets(text) {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const four = text.split('.').map(Number);
    return four.every((one) => one < 256) ? four : null;
  }
  if (!text.includes(':') || !/^[0-9a-f:.]+$/i.test(text)) return null;
  let written = text;
  const tail = text.slice(text.lastIndexOf(':') + 1);
  if (tail.includes('.')) {
    const four = octets(tail);
    if (!four || four.length !== 4) return null;
    const word = (high, low) => ((high << 8) | low).toString(16);
    written = text.slice(0, text.length - tail.length) + word(four[0], four[1]) + ':' + word(four[2], four[3]);
  }
  const halves = written.split('::');
  if (halves.length > 2) return null;
  const words = (half) => (half === '' ? [] : half.split(':'));
  const [front, back] = [words(halves[0]), words(halves[1] ?? '')];
  const zeros = halves.length === 2 ? 8 - front.length - back.length : 0;
  if (zeros < (halves.length === 2 ? 1 : 0)) return null;
  const all = [...front, ...Array(zeros).fill('0'), ...back];
  if (all.length !== 8 || !all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return null;
  const sixteen = all.flatMap((word) => [parseInt(word, 16) >> 8, parseInt(word, 16) & 255]);
  const isMapped = sixteen.slice(0, 10).every((byte) => byte === 0) && sixteen[10] === 255 && sixteen[11] === 255;
  return isMapped ? sixteen.slice(12) : sixteen;
}

/**
 * What a filter lets through: {test(address)}, or {trouble} if it is a network that cannot be read. Text with a slash is a network;
 * any other is how an address begins, with or without the bracket of IPv6. An empty filter is null.
 */
export function filter(text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return null;
  if (!wanted.includes('/')) {
    return { test: (address) => address.startsWith(wanted) || address.startsWith('[' + wanted) };
  }
  const [network, length, ...more] = wanted.split('/');
  const base = octets(network.replace(/^\[|\]$/g, ''));
  if (!base || more.length || !/^\d{1,3}$/.test(length) || Number(length) > base.length * 8) {
    return { trouble: 'This is no network. Write one like 192.0.2.0/24 or 2001:db8::/32.' };
  }
  return { test: (address) => isWithin(octets(host(address)), base, Number(length)) };
}

function isWithin(address, base, length) {
  if (!address || address.length !== base.length) return false;
  const whole = length >> 3;
  for (let at = 0; at < whole; at++) if (address[at] !== base[at]) return false;
  const rest = length & 7;
  return rest === 0 || (address[whole] ^ base[whole]) >> (8 - rest) === 0;
}
