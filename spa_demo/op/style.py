"""The stylesheet of the OP's pages, inlined and allowed by its hash: no external resource."""

from base64 import b64encode
from hashlib import sha256

CSS = """
:root {
  color-scheme: light dark;
  --ground: light-dark(#eef1f6, #12151c);
  --card: light-dark(#ffffff, #1c212c);
  --ink: light-dark(#1b2330, #e8ecf4);
  --muted: light-dark(#5b6678, #9aa6b8);
  --line: light-dark(#d8dee8, #303848);
  --accent: light-dark(#3451d1, #8ea2ff);
  --on-accent: light-dark(#ffffff, #10131b);
  --alert: light-dark(#a3211f, #ff9c94);
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main {
  width: 100%; max-width: 27rem; padding: 2rem; border-radius: 14px;
  background: var(--card); border: 1px solid var(--line);
  box-shadow: 0 10px 30px rgb(0 0 0 / 8%);
}
header { display: flex; align-items: center; gap: .6rem; color: var(--muted); font-size: .9rem; }
header::before {
  content: ""; width: 1.1rem; height: 1.1rem; border-radius: 5px; background: var(--accent);
}
h1 { margin: .8rem 0 .3rem; font-size: 1.45rem; line-height: 1.25; }
p { margin: .4rem 0 1rem; color: var(--muted); }
fieldset { margin: 0 0 1rem; padding: 0; border: 0; display: grid; gap: .5rem; }
legend, label.field { display: block; margin-bottom: .35rem; font-weight: 600; font-size: .9rem; }
label.account {
  display: grid; grid-template-columns: auto 1fr auto; gap: .1rem .7rem; align-items: center;
  padding: .6rem .8rem; border: 1px solid var(--line); border-radius: 10px; cursor: pointer;
}
label.account:has(input:checked) { border-color: var(--accent); outline: 1px solid var(--accent); }
label.account small { grid-column: 2 / -1; color: var(--muted); }
input[type=password] {
  width: 100%; margin-bottom: 1rem; padding: .65rem .8rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: 10px;
}
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
ul.scopes { margin: 0 0 1.2rem; padding: 0; list-style: none; border-top: 1px solid var(--line); }
ul.scopes li { padding: .55rem 0; border-bottom: 1px solid var(--line); }
ul.scopes code { display: block; color: var(--muted); font-size: .82rem; }
.actions { display: flex; flex-wrap: wrap; gap: .6rem; }
button {
  flex: 1 1 auto; padding: .65rem 1rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-accent); background: var(--accent);
  border: 1px solid var(--accent); border-radius: 10px;
}
button.quiet { color: var(--ink); background: transparent; border-color: var(--line); }
button.link {
  flex-basis: 100%; color: var(--muted); background: transparent; border: 0;
  font-weight: 400; font-size: .85rem;
}
[role=alert] { color: var(--alert); font-weight: 600; }
footer { margin-top: 1.4rem; font-size: .82rem; color: var(--muted); }
a { color: var(--accent); }
code { font-family: ui-monospace, SFMono-Regular, Menlo, monospace; }
"""

CSP_SOURCE = f"'sha256-{b64encode(sha256(CSS.encode()).digest()).decode('ascii')}'"
"""The source expression that lets `CSS`, and nothing else, be applied (CSP level 3)."""
