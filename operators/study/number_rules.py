"""What tells that the pixels of a series are no ordinary CT numbers, or no cross-section at all: one table.

Vendors say it in any value of Image Type, in Rescale Type, in texts, kernels and codes. Every rule names
where it looks, the words that it looks for (as :func:`operators.study.words.words` splits them), who writes
them, and the source. The first rule of the table that fits decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from operators.reading.source import Spectrum
from operators.study.words import Where

_TYPE, _TEXT, _DEVICE = (Where.IMAGE_TYPE,), (Where.TEXT,), (Where.DEVICE,)
_SAID = (Where.IMAGE_TYPE, Where.TEXT)
_STANDARD, _TYPE_4 = "PS3.3 C.7.6.1.1.2", "PS3.3 C.8.15.2.1.1.5"
_RESCALE, _CODES = "PS3.3 C.11.1.1.2", "PS3.16 CID 7203"
_NAMES = "series names in the vendor's manuals and DICOM conformance statements"
_OBSERVED = "observed in routine archives"


class NoSection(StrEnum):
    """Why the pixels of an image are no cross-section of a body."""

    LOCALIZER = "localizer"
    PROJECTION = "projection"
    SCREEN = "secondary-capture"


@dataclass(frozen=True)
class Rule:
    """One way to say something of the pixels.

    Attributes:
        means: What it says.
        where: Attributes that say it.
        pattern: Words that say it; a group named ``kev`` is an energy.
        vendor: Who writes it.
        source: Where that is written.
    """

    means: NoSection | Spectrum
    where: tuple[Where, ...]
    pattern: re.Pattern[str]
    vendor: str
    source: str


def _rule(means: NoSection | Spectrum, where: Iterable[Where], pattern: str, vendor: str, source: str) -> Rule:
    return Rule(means, tuple(where), re.compile(rf"(?<![A-Z0-9])(?:{pattern})(?![A-Z0-9])"), vendor, source)


_PROJECTED = (
    r"[A-Z]{0,8}MIPS?|MIP(?:AX|COR|SAG|THICK|THIN|RANGE)[A-Z]*|(?:MIN|MAX) ?IPS?|(?:MIN|MAX)(?:IMUM)? INTENSITY"
    r"|RAY ?SUMS?|VRT|VOLUME ?RENDER[A-Z]*|SURFACE ?RENDER[A-Z]*|SSD|SHADED ?SURFACE[A-Z]*"
    r"|RENDER(?:ED|ING)|CINEMATIC|(?<!AVERAGE INTENSITY )(?<!MEAN INTENSITY )(?<!AVERAGE )PROJECTIONS?|CURVED(?: ?MPR)?"
)
_MATERIAL = r"(?:IODINE|CALCIUM|WATER|FAT|LIVER ?FAT|URIC ?ACID|GOUT|HAP|MONOSODIUM|COLLAGEN|BONE ?MARROW)"

RULES = (
    _rule(NoSection.LOCALIZER, _TYPE, r"LOCALI[SZ]ERS?|SCOUTS?|TOPOGRAMS?|SCANOGRAMS?|SURVIEWS?", "all", _STANDARD),
    _rule(
        NoSection.SCREEN, _TYPE, r"SCREEN ?SAVES?|SCREEN ?(?:SHOT|CAPTURE)S?|DOSE|PROT(?:OCOL)?|REPORT", "all", _NAMES
    ),
    # A text names a projection that is to be made from a series, too: "0.6 for MIP".
    _rule(NoSection.PROJECTION, _TYPE, rf"[A-Z]*MIP[A-Z]*|VR|{_PROJECTED}", "all", f"{_STANDARD}, {_NAMES}"),
    _rule(NoSection.PROJECTION, _TEXT, rf"(?<!FOR )(?<!SOURCE )(?:{_PROJECTED})(?! SOURCE)", "all", _NAMES),
    _rule(
        NoSection.PROJECTION, (Where.DERIVATION,), r"113048|113051|113073|113074|113075|113078|113079", "all", _CODES
    ),
    _rule(Spectrum.SUBTRACTION, _SAID, r"SUBTRACT(?:ED|ION)?|DSA|BONE ?(?:REMOVED|REMOVAL|SUBTRACTED)", "all", _NAMES),
    _rule(Spectrum.SUBTRACTION, (Where.DERIVATION,), r"113062|113047", "all", _CODES),
    _rule(
        Spectrum.MATERIAL_MAP,
        (Where.DERIVATION,),
        r"113041|113042|113046|113052|113053|113055|113056|113057|113059|113060|113061|113066|113069|113071|113076|113084",
        "all",
        _CODES,
    ),
    _rule(Spectrum.CALCIUM_SUPPRESSED, (Where.RESCALE_TYPE,), r"HU MOD", "Philips", _RESCALE),
    _rule(Spectrum.CALCIUM_SUPPRESSED, _SAID, r"(?:CALCIUM|CA) ?SUPP[A-Z]*", "Philips", _NAMES),
    _rule(Spectrum.ELECTRON_DENSITY, (Where.KERNEL,), r"SD \d{2}(?: [A-Z])?", "Siemens", _NAMES),
    _rule(
        Spectrum.ELECTRON_DENSITY,
        (*_SAID, Where.KERNEL),
        r"DIRECT ?DENSITY|E ?DENSITY|(?:RELATIVE )?ELECTRON ?DENSITY|RHO ?E",
        "Siemens, Philips",
        f"{_TYPE_4}, {_NAMES}",
    ),
    _rule(
        Spectrum.MATERIAL_MAP,
        _TYPE,
        r"MAT (?:SPECIFIC|FRACTIONAL|VALUE BASED)|EFF ATOMIC NUM|CBF|CBV|MTT|TTP|TMAX|PBV|PERFUSION ?MAP",
        "all",
        _TYPE_4,
    ),
    _rule(
        Spectrum.MATERIAL_MAP,
        _SAID,
        rf"{_MATERIAL}(?: [A-Z]+)? (?:MAPS?|OVERLAY|DENSITY|FUSION|CONC[A-Z]*)|{_MATERIAL} ?NO ?{_MATERIAL}"
        rf"|{_MATERIAL} {_MATERIAL}|(?<!\d )MG ML|URIC ?ACID|Z ?EFF|EFF(?:ECTIVE)? ?Z|EFFECTIVE ATOMIC"
        r"|RHO ?Z|IODINEMAP",
        "Siemens, GE, Philips, Canon",
        _NAMES,
    ),
    _rule(
        Spectrum.VIRTUAL_NON_CONTRAST,
        (*_SAID, Where.PROTOCOL),
        r"MAT (?:REMOVED|MODIFIED)|VNC|VUE|VNCA|VNU|VUI|VIRTUAL ?(?:NON|UN|NATIVE)[ A-Z]*|PURE ?(?:CALCIUM|LUMEN)"
        r"|VIRTUAL(?:LY)? NATIVE",
        "Siemens, GE, Philips",
        f"{_TYPE_4}, {_NAMES}",
    ),
    _rule(
        Spectrum.MONO_ENERGETIC,
        (*_SAID, Where.KERNEL, Where.PROTOCOL),
        r"(?P<kev>\d{2,3})(?:\.0+)? ?KEV",
        "all",
        "PS3.17 JJJJ.4",
    ),
    _rule(
        Spectrum.MONO_ENERGETIC,
        _SAID,
        r"VMI|MONO ?(?:E|PLUS|CHROM[A-Z]*|ENERG[A-Z]*)?\+?(?: (?P<kev>\d{2,3}))?",
        "Siemens, GE, Philips, Canon",
        f"{_TYPE_4}, {_NAMES}",
    ),
    _rule(
        Spectrum.CONE_BEAM,
        _DEVICE,
        r"CBCT|CONE ?BEAM|DYNA ?CT|XPER ?CT|XVI|OBI|ON BOARD IMAGER|O ARM|INNOVA ?CT|HYPERSIGHT|CIOS SPIN|VISION RFD",
        "Varian, Elekta, Siemens, Philips, GE, Medtronic, Ziehm",
        _NAMES,
    ),
    _rule(Spectrum.PHOTON_COUNTING, (Where.DETECTOR,), r"PHOTON COUNTING", "all", "PS3.3 C.8.15.3.11"),
    _rule(
        Spectrum.PHOTON_COUNTING, (*_DEVICE, *_SAID), r"NAEOTOM|PHOTON ?COUNTING|PCCT|PCD ?CT", "Siemens, all", _NAMES
    ),
    _rule(
        Spectrum.TIN_FILTERED,
        (Where.FILTER, *_SAID, Where.PROTOCOL),
        r"TIN|SN ?(?:80|90|1[0-5]0)(?: ?KVP?)?|SN ?FILTER[A-Z]*",
        "Siemens",
        _NAMES,
    ),
    _rule(Spectrum.TIN_FILTERED, (Where.FILTER,), r"SN", "Siemens", _OBSERVED),
    _rule(
        Spectrum.MIXED_ENERGIES,
        _TYPE,
        r"DET ?AB|DUAL|MIXED|AVERAGE KV",
        "Siemens, all",
        f"{_TYPE_4}, {_NAMES}",
    ),
    _rule(Spectrum.MIXED_ENERGIES, (Where.ACQUISITION,), r"YES", "all", "PS3.3 C.8.2.2"),
    _rule(Spectrum.MIXED_ENERGIES, (Where.DERIVATION,), r"113097", "all", _CODES),
)
"""In the order in which they are asked: what is no cross-section first, what is least attenuation next."""

_INNOCENT = """
ADAPTIVE AICE AIDR ASIR AVERAGE AVG AX AXIAL BODY CARDIAC CLEAR CONVERTED COR CORONAL CORRECTED CROPPED CSA
CSAMPR CSAPARALLEL CT DENOISED DERIVED DET DISTORTED DLIR DYNAMIC EXTRACTED FBP FIDELITY FILTERED GATED GSI
HELICAL HELIX IDOSE IMAR INTERPOLATED IR ISOTROPIC JPEG LEGACY LOSSLESS LOSSY MAR MEAN MPR MULTIPLANAR NONE
NORM OBLIQUE OMAR ORIGINAL OTHER PARALLEL PRIMARY PROCESSED PROSP RANGE RANGES RECON RECONSTRUCTION REFORMAT
REFORMATTED RESAMPLED RESLICED RETRO SAFIRE SAG SAGITTAL SAMPLED SECONDARY SEMAR SEMI SEQ SEQUENCE SEQUENCED
SMOOTHED SOM SPI SPIRAL STACK STD THICK THIN TRUE UNSPECIFIED VOLUME WHOLE
"""
INNOCENT_WORDS = frozenset(_INNOCENT.split())
"""Words of the third and later values of Image Type of derived images that are still attenuation."""
_INNOCENT_DERIVATIONS = """
113040 113049 113072 113085 113086 113087 113088 113089 113090 113091 113092 113093 113097
"""
INNOCENT_CODES = frozenset(_INNOCENT_DERIVATIONS.split())
"""Image derivations that leave attenuation what it is, or that a rule above knows (PS3.16 CID 7203)."""
