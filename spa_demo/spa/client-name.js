/**
 * A browser's name for people, from its User-Agent: `Firefox on Linux`. A guess, as every reading of
 * that header is. Pure.
 */

/** @type {[RegExp, string][]} the first that fits: most browsers also name those they resemble */
const BROWSERS = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\b(OPR|OPT|Opera)\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS|Chromium|HeadlessChrome)\//, 'Chrome'],
  [/\bVersion\/[\d.]+|\bSafari\//, 'Safari'],
];

/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b|\bMacintosh\b/, 'Mac'],
  [/\bLinux\b|\bX11\b/, 'Linux'],
];

const SHOWN_CHARACTERS = 40;

/** @param {string} userAgent */
export function nameClient(userAgent) {
  const browser = firstOf(BROWSERS, userAgent);
  const system = firstOf(SYSTEMS, userAgent);
  if (browser) return system ? `${browser} on ${system}` : browser;
  const product = /^[^\s/(]+/.exec(userAgent)?.[0].slice(0, SHOWN_CHARACTERS);
  if (system) return `A browser on ${system}`;
  return product ?? 'Unknown device';
}

/**
 * @param {[RegExp, string][]} table
 * @param {string} text
 */
function firstOf(table, text) {
  return table.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}
