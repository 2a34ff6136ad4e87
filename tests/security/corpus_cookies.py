"""Cookie header lines by whom they authenticate. NAME stands for our cookie's name, GOOD for a
value of ours, and every line is what some client, proxy or attacker sends."""

from itertools import product

# Cookies of others, well-formed or not, that have no say in whose request it is.
OTHERS = [
    "a=b", "a=", "=b", "=", "a", "a==b", "a=b=c", 'a="b c"', 'a="', "a='b'", "a=b,c", "a=b, c=d",
    "$Version=1", "$Path=/", "a=%3B%20NAME%3DBAD", "a=NAME", "a=NAME=BAD", "xNAME=BAD",
    "NAMEx=BAD", "name=BAD", "NAME-login=BAD", "NAME.=BAD", "__Secure-x=y", "__Host-x=y",
    "__host-http-bff=BAD", "a=\xe4", "\xe4=b", "a={}", "a=[1]", "a=<b>", "a=b:c", "a=/",
    "a b=c", "a\tb=c", "a=" + "b" * 2000, "b" * 2000, "JSESSIONID=1", "theme=dark",
]  # fmt: skip
# What is no part of a name, and what is no part of a value of ours.
NAME_MARKS = "!\"#$%&'()*+,-./:<>?@[\\]^_`{|}~x0 \xa0\xff"
VALUE_MARKS = "!\"#$%&'()*+,/:<=>?@[\\]^`{|}~. \xa0\xff"

MANY = "; ".join(f"c{number}=v" for number in range(500))
PLANTED = ["BAD", "GOOD", "", "x", '""', "A" * 500, "..", "deleted"]
OURS = [
    ["NAME=GOOD"],
    ["a=b; NAME=GOOD"],
    ["NAME=GOOD; a=b"],
    ["a=b; NAME=GOOD; c=d"],
    ["a=b;NAME=GOOD;c=d"],
    ["a=b;  NAME=GOOD  ; c=d"],
    ["a=b;\tNAME=GOOD"],
    ["NAME=GOOD;"],
    [";NAME=GOOD"],
    [";;; NAME=GOOD;;;"],
    ["a=b", "NAME=GOOD"],
    ["NAME=GOOD", "a=b"],
    ["flag; NAME=GOOD"],
    ["=x; NAME=GOOD"],
    ["a=; NAME=GOOD"],
    ["a=NAME; NAME=GOOD"],
    ['a="x"; NAME=GOOD'],
    ["xNAME=BAD; NAME=GOOD"],
    ["NAMEx=BAD; NAME=GOOD"],
    ["NAME-login=BAD; NAME=GOOD"],
    ["$Version=1; NAME=GOOD; $Path=/"],
    ["a=b,c=d; NAME=GOOD"],
    [f"{MANY}; NAME=GOOD"],
    ["x=" + "y" * 4000 + "; NAME=GOOD"],
    ["\xff=\xfe; NAME=GOOD"],
    ["NAME=GOOD "],
    ["NAME=GOOD\t; a=b"],
    *([f"{other}; NAME=GOOD"] for other in OTHERS),
    *([f"NAME=GOOD; {other}"] for other in OTHERS),
    *([other, "NAME=GOOD"] for other in OTHERS),
    *([f"{one};NAME=GOOD;{other}"] for one, other in product(OTHERS[:6], OTHERS[6:12])),
]

OF_NO_USER = [
    # --- two of the name: another host may have planted one
    ["NAME=GOOD; NAME=BAD"],
    ["NAME=BAD; NAME=GOOD"],
    ["NAME=GOOD; NAME=GOOD"],
    ["NAME=GOOD", "NAME=BAD"],
    ["NAME=BAD", "NAME=GOOD"],
    ["NAME=GOOD; a=b; NAME=BAD"],
    ["NAME=GOOD; NAME="],
    ["NAME=; NAME=GOOD"],
    ["NAME=GOOD;NAME=BAD;NAME=BAD"],
    ["NAME=GOOD", "a=b", "NAME=GOOD"],
    # --- not the name
    [],
    [""],
    [";"],
    ["NAME"],
    ["a=b"],
    ["name=GOOD"],
    ["nAmE=GOOD"],
    ["NAME =GOOD"],
    ["NA ME=GOOD"],
    ["xNAME=GOOD"],
    ["NAMEx=GOOD"],
    ["NAME-login=GOOD"],
    ['"NAME"=GOOD'],
    ["a=NAME=GOOD"],
    ['a="; NAME=GOOD'.replace("; ", "")],
    ["a=b, NAME=GOOD"],
    ["NAME%3DGOOD"],
    ["NAME:GOOD"],
    ["$NAME=GOOD"],
    ["\u00a0NAME=GOOD"],
    ["\x0bNAME=GOOD"],
    ["\x00NAME=GOOD"],
    # --- not a value of ours
    ["NAME="],
    ["NAME=BAD"],
    ["NAME=GOODx"],
    ["NAME=xGOOD"],
    ['NAME="GOOD"'],
    ["NAME='GOOD'"],
    ["NAME=GOOD,BAD"],
    ["NAME=GOOD BAD"],
    ["NAME=GOOD=BAD"],
    ["NAME==GOOD"],
    ["NAME= GOOD"],
    ["NAME=GOOD\x00"],
    ["NAME=\x00GOOD"],
    ["NAME=GOOD."],
    ["NAME=.GOOD"],
    ["NAME=GOOD\xff"],
    ["NAME=%47OOD"],
    ["NAME=*"],
    ["NAME=../../x"],
    ["NAME=null"],
    ["NAME=a.b.c"],
    ["NAME=" + "A" * 100_000],
    ["NAME=" + "." * 10_000],
    ["NAME=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."],
    # --- one byte more, in the name or in the value
    *([f"{mark}NAME=GOOD"] for mark in NAME_MARKS if mark != " "),
    *([f"NAME{mark}=GOOD"] for mark in NAME_MARKS),
    *([f"NA{mark}ME=GOOD"] for mark in NAME_MARKS),
    *([f"NAME={mark}GOOD"] for mark in VALUE_MARKS),
    *([f"NAME=GOOD{mark}"] for mark in VALUE_MARKS if mark != " "),
    *([f"NAME=GOOD{mark}BAD"] for mark in VALUE_MARKS),
    # --- a second one, planted in front, behind, or on a line of its own (sibling domain)
    *([f"NAME={planted}; {other}; NAME=GOOD"] for planted, other in product(PLANTED, OTHERS[:4])),
    *([f"NAME=GOOD; {other}; NAME={planted}"] for planted, other in product(PLANTED, OTHERS[:4])),
    *([f"NAME={planted}", "NAME=GOOD"] for planted in PLANTED),
    *(["NAME=GOOD", "a=b", f"NAME={planted}"] for planted in PLANTED),
]

# What a server in other places has fallen over: answered all the same, and quickly.
HOSTILE = [
    ["; " * 50_000],
    ["=" * 50_000],
    ["a=b; " * 20_000],
    ["NAME=" * 10_000],
    ["NAME_chunks=99999999; NAME_0=x"],
    ["NAME_chunks=-1; NAME.0=x; NAME.1=y"],
    ["\x00" * 1000],
    ["\xff" * 1000],
    ["a=b"] * 1000,
    ['a="' + '\\"' * 10_000],
    ["NAME=BAD; " * 5_000],
    ["NAME=GOOD; " * 1_000],
    ["; ".join(f"c{number}=v" for number in range(5_000))],
    ["NAME=" + "=" * 50_000],
    [" " * 50_000],
    ["\t;" * 25_000],
    ["a=b"] * 99,
]

# Answered over a socket with another status than a stranger's 401: no field value may hold these
# (RFC 9110 section 5.5), and the whole head is limited.
NO_FIELD_VALUE = frozenset("\x00\x0b")
MOST_HEAD_BYTES, MOST_FIELDS = 65_536, 200
