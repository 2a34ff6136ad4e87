"""What stands where a secret should: a template that nobody filled in, or a word of an example."""

import re

# $NAME, ${NAME}, $(command), {{ name }}, <your secret>, [your secret], %NAME%, @NAME@, ...
_TEMPLATE = re.compile(
    r"\$\w+|\$\{.*\}|\$\(.*\)|\{\{.*\}\}|<.*>|\[.*\]|%\w+%|@\w+@|\.{3,}|\*{3,}|[xX]{3,}"
)
# Longer words first: what is left over after them is what somebody has thought of.
_WORDS = re.compile(
    r"placeholder|replaceme|replacewith|environment|passw0rd|password|insecure|changeme|changeit|"
    r"foobared|default|example|replace|gateway|session|foobar|string|random|secret|client|change|"
    r"redis|admin|super|token|here|your|demo|test|todo|fixme|this|with|none|null|prod|sample|"
    r"local|pass|key|app|spa|bff|dev|(?<![a-z])(?:the|put|new|old|my|me|it|id|an?)(?![a-z])|[^a-z0-9]"
)
_OWN_AT_MOST = 4


def is_placeholder(secret: str) -> bool:
    """A template, or little else than words that examples are made of."""
    text = secret.strip()
    if _TEMPLATE.fullmatch(text):
        return True
    has_words = bool(re.search(r"[a-z]{3}", text.lower()))
    return has_words and len(_WORDS.sub("", text.lower())) <= _OWN_AT_MOST
