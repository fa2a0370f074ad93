"""Where data may go, as sets of ISO 3166-1 alpha-2 countries.

``any`` is all of them, ``EEA`` the European Economic Area, ``adequate`` the countries
outside it to which personal data may go under Article 45 GDPR *for research*.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from .values import unknown, words_of

Region = frozenset[str]

#: The 249 officially assigned codes (ISO 3166-1, as in Debian's iso-codes 4.15)
_ASSIGNED = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ
    BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM
    DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS
    GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
    KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ
    MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM
    PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV
    SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
    VN VU WF WS YE YT ZA ZM ZW
"""
ANYWHERE: Region = frozenset(_ASSIGNED.split())

#: the member states of the European Union, and Iceland, Liechtenstein and Norway
_MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EEA: Region = frozenset((*_MEMBERS.split(), "IS", "LI", "NO"))

#: Decisions under Article 45 GDPR that cover a whole country, from the list of the European
#: Commission (commission.europa.eu, "Adequacy decisions"; the review of 15 January 2024
#: confirmed eleven of them; Japan, Korea, the United Kingdom and the United States came later).
#: Left out because the decision does not reach a research institution there: Canada (commercial
#: organisations under PIPEDA), the United States (organisations certified under the Data Privacy
#: Framework), Japan (Decision (EU) 2019/419, Article 1(2)(c), excepts universities and academic
#: study). Name them beside `adequate` where your recipients are covered.
ADEQUATE: Region = frozenset(
    ("AD", "AR", "CH", "FO", "GB", "GG", "IL", "IM", "JE", "KR", "NZ", "UY")
)

NOWHERE: Region = frozenset()

_NAMES = {"any": ANYWHERE, "EEA": EEA, "adequate": ADEQUATE}


def parse_region(value: object, where: str | None = None) -> Region:
    """Countries and names, a text or a list, as one set.

    Raises
    ------
    InputError
        For a word that is neither a name nor an assigned country code.

    >>> sorted(parse_region("CH, AT"))
    ['AT', 'CH']
    >>> parse_region("any") == ANYWHERE
    True
    """
    found: set[str] = set()
    for word in words_of(value):
        if word in _NAMES:
            found |= _NAMES[word]
        elif word in ANYWHERE:
            found.add(word)
        else:
            raise unknown("region", word, [*_NAMES, *ANYWHERE], where)
    return ANYWHERE if len(found) == len(ANYWHERE) else frozenset(found)


@lru_cache(maxsize=4096)
def region_words(region: Region) -> tuple[str, ...]:
    """The shortest way to write a region; ``()`` for nowhere.

    >>> region_words(EEA | {"CH"})
    ('CH', 'EEA')
    """
    if region == ANYWHERE:
        return ("any",)
    words: list[str] = []
    rest = region
    for name in ("EEA", "adequate"):
        if _NAMES[name] <= region:
            words.append(name)
            rest -= _NAMES[name]
    return tuple(sorted((*words, *rest)))


def region_text(region: Iterable[str]) -> str:
    """The same for a message."""
    return ", ".join(region_words(frozenset(region))) or "nowhere"
