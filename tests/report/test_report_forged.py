"""Reports that were changed after they were made: each kind of forgery is told, and odd evidence is no report."""

import base64
import io
import json
import re
import shutil

import imagecodecs
import numpy as np
import pytest
from factories import fill
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText, Rectangle
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, RectangleObject, TextStringObject
from typer.testing import CliRunner

from cbm_lake import report
from cbm_lake.cli import app
from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError, LakeError, NotFoundError, SourceError
from cbm_lake.lake import open_lake
from cbm_lake.report import evidence, facts, figures, keys, pages, pdfpages, seals, verification, words

runner = CliRunner()


def picture(shade):
    """A small picture with a pattern."""
    pixels = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    return bytes(imagecodecs.png_encode(np.dstack([pixels * shade, pixels, pixels, np.full_like(pixels, 255)])))


PICTURES = {"ndvi": picture(1), "bands": picture(2), "place": picture(3)}
MISSING = {"radar": "no radar", "calendar": "no images"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with a lake, keys and a signed and an unsigned report of parcel 12; and a report of parcel 0012."""
    folder = tmp_path_factory.mktemp("forged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        patch.setattr(figures, "draw", lambda *_, **__: (PICTURES, MISSING, "Sentinel-2 of the lake"))
        Workspace.here().create()
        fill(open_lake())
        report.parcel("ms", 2024, "12", folder=folder / "plain", formats=("pdf", "html", "json"))
        keys.make()
        report.parcel("ms", 2024, "12", folder=folder / "signed", formats=("pdf", "html", "json"))
        report.parcel("ms", 2024, "0012", folder=folder / "signed", formats=("pdf", "html"))
        yield folder


@pytest.fixture
def made(home, monkeypatch):
    """That workspace in force, with pictures that take no time."""
    monkeypatch.setenv("CBM_LAKE_HOME", str(home))
    monkeypatch.setattr(figures, "draw", lambda *_, **__: (PICTURES, MISSING, "Sentinel-2 of the lake"))
    return home


def public(home):
    return next((home / "config/keys").glob("*.pub"))


# -- pages of HTML ----------------------------------------------------------------------------------------------------


def _without_picture(page):
    return re.sub(r'<img id="ndvi"[^>]*>', "", page)


def _swapped(page):
    contents = re.findall(r"base64,([\w+/=]+)", page)
    return page.replace(contents[0], "@").replace(contents[1], contents[0]).replace("@", contents[1])


def _other_picture(page):
    return page.replace(base64.b64encode(PICTURES["ndvi"]).decode(), base64.b64encode(picture(9)).decode())


def _in_head(text):
    return lambda page: page.replace("</head>", f"{text}</head>")


def _in_body(text):
    return lambda page: page.replace("<h2>Radar</h2>", f"{text}<h2>Radar</h2>")


HTML = {
    "the crop": lambda page: page.replace("<dd>wheat", "<dd>sugar beet", 1),
    "the number of a row": lambda page: re.sub(r"<td>0\.(\d+)</td>", "<td>0.999</td>", page, count=1),
    "the title of the window": lambda page: page.replace("<title>Parcel 12", "<title>Parcel 13"),
    "the heading": lambda page: page.replace("<h1>Parcel 12", "<h1>Parcel 13"),
    "a text for those who do not see": lambda page: page.replace('alt="NDVI by date', 'alt="no NDVI by date'),
    "a text that appears under the pointer": lambda page: page.replace("<h1>", '<h1 title="annulled">'),
    "text hidden by a style of the page": _in_head("<style>td { display: none }</style>"),
    "text hidden by a style of the element": lambda page: page.replace("<dd>", '<dd style="opacity:0">', 1),
    "text hidden by an attribute": lambda page: page.replace("<dd>", "<dd hidden>", 1),
    "text in the colour of the page": lambda page: page.replace("color: #1d2b24", "color: #fff"),
    "something laid over": _in_body('<div style="position:absolute;top:0;left:0;width:99%">Parcel 77</div>'),
    "a picture laid over": _in_body('<svg style="position:fixed"><text>maize</text></svg>'),
    "generated content": _in_head("<style>h1::after { content: ' annulled' }</style>"),
    "changed styles": lambda page: page.replace(
        ".green::before { color: #2f7d4f }", ".green::before { color: #b3261e }"
    ),
    "a script": _in_body("<script>document.body.innerHTML = 'Parcel 77'</script>"),
    "a handler": lambda page: page.replace("<body>", "<body onload=\"document.title='x'\">"),
    "a style from elsewhere": _in_head('<link rel="stylesheet" href="http://127.0.0.1/x.css">'),
    "another page after a moment": _in_head('<meta http-equiv="refresh" content="0;url=http://127.0.0.1/">'),
    "another base": _in_head('<base href="http://127.0.0.1/">'),
    "a frame": _in_body('<iframe srcdoc="maize"></iframe>'),
    "a row more": lambda page: page.replace("</table>", "<tr><td>2024-01-01</td></tr></table>", 1),
    "a row less": lambda page: re.sub(r"<tr><td>.*?</tr>\n", "", page, count=1),
    "text after the end": lambda page: page + "<p>annulled</p>",
    "letters that look alike": lambda page: page.replace("<dd>wheat", "<dd>wh\u0435at", 1),
    "letters that are not seen": lambda page: page.replace("<dd>wheat", "<dd>whe\u200bat", 1),
    "the order of letters": lambda page: page.replace("<dd>wheat", "<dd>\u202etaehw", 1),
    "a picture less": _without_picture,
    "two pictures exchanged": _swapped,
    "another picture": _other_picture,
    "a picture more": _in_body('<img src="data:image/png;base64,AAAA">'),
    "a picture of no size": lambda page: page.replace('<img id="ndvi"', '<img style="width:0" id="ndvi"'),
    "a comment": _in_body("<!-- note -->"),
    "another encoding declared": lambda page: page.replace('charset="utf-8"', 'charset="utf-7"'),
    "the reason why a picture is not there": lambda page: page.replace("Not shown: no radar", "Not shown: clouds"),
    "everything but the evidence": lambda page: re.sub(r"(?s)<body>.*?(?=<script)", "<body>", page),
}


@pytest.mark.thorough
@pytest.mark.parametrize("which", ["plain", "signed"])
@pytest.mark.parametrize("kind", HTML)
def test_a_page_that_shows_something_else_than_its_evidence_is_told(made, tmp_path, kind, which):
    page = (made / which / "report_ms_2024_12.html").read_text("utf-8")
    forged = HTML[kind](page)
    assert forged != page
    file = tmp_path / "report.html"
    file.write_text(forged, "utf-8", newline="")
    assert evidence.read(file) == evidence.read(made / which / "report_ms_2024_12.html")
    for options in ({}, {"key": public(made)}) if which == "signed" else ({},):
        verdict = report.verify(file, **options)
        assert verdict.status == 1, str(verdict)
        assert "\n" not in str(verdict)


def test_what_a_page_shows_and_should_show_is_said(made, tmp_path):
    page = (made / "plain/report_ms_2024_12.html").read_text("utf-8")
    file = tmp_path / "report.html"
    file.write_text(page.replace("<dd>wheat", "<dd>sugar beet"), "utf-8")
    told = "; ".join(report.verify(file).differences)
    assert "the page shows" in told
    assert "sugar beet" in told
    assert "evidence makes 'wheat'" in told
    file.write_text(_without_picture(page), "utf-8")
    assert report.verify(file).differences[0] == "the figure ndvi is not there"


def test_text_that_a_reader_sees_in_the_place_of_the_evidence_is_told(made, tmp_path, monkeypatch):
    page = (made / "signed/report_ms_2024_12.html").read_text("utf-8")
    start, mark, rest = page.partition(f'id="{evidence.ELEMENT}">')
    text, end, tail = rest.partition("</script>")
    file = tmp_path / "report.html"
    forged = [
        f"{text}</SCRIPT><h1>maize</h1><script>{end}",
        f"{text}</script ><h1>maize</h1><script>{end}",
        f" {text}{end}<h1>maize</h1>",
        f"{text}<!-- {end}",
    ]
    for tools in (evidence.tools(), {"typst": "99"}):
        monkeypatch.setattr(evidence, "tools", lambda tools=tools: tools)
        for inside in forged:
            file.write_text(start + mark + inside + tail, "utf-8", newline="")
            try:
                verdict = report.verify(file, key=public(made))
            except InvalidInputError:
                continue
            assert verdict.status == 1, (inside[-60:], str(verdict))


# -- PDF --------------------------------------------------------------------------------------------------------------


def _rewritten(change):
    """A PDF as a writer of ours changes it."""

    def forge(content):
        writer = PdfWriter(clone_from=io.BytesIO(content))
        change(writer)
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()

    return forge


def _emptied(content):
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    writer.add_attachment(evidence.NAME, bytes(PdfReader(io.BytesIO(content)).attachments[evidence.NAME][0]))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _drawn_over(writer):
    page = writer.pages[0]
    stream = DecodedStreamObject()
    stream.set_data(page.get_contents().get_data() + b"\nq 1 1 1 rg 0 0 400 400 re f Q")
    page[NameObject("/Contents")] = writer._add_object(stream)


def _images(writer):
    return [
        (objects, name)
        for page in writer.pages
        for objects in [page["/Resources"].get("/XObject", {})]
        for name in list(objects)
    ]


def _exchange(writer):
    (one, first), (other, second) = _images(writer)[:2]
    kept = one.raw_get(first)
    one[NameObject(first)] = other.raw_get(second)
    other[NameObject(second)] = kept


def _one_pixel(writer):
    objects, name = _images(writer)[0]
    image = objects[name]
    data = bytearray(image.get_data())
    data[0] ^= 1
    image.set_data(bytes(data))


def _cut(writer):
    writer.pages[0][NameObject("/CropBox")] = RectangleObject((0, 0, 99, 99))


def _scripted(writer):
    action = {NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.alert('x')")}
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(action)


def _reordered(writer):
    order = writer.root_object["/Pages"]["/Kids"]
    order.insert(0, order.pop())


def _of_another(writer):
    other = PdfReader(Workspace.here().root / "signed/report_ms_2024_0012.pdf")
    writer.remove_page(0)
    writer.insert_page(other.pages[0], 0)


PDF = {
    "one empty page": _emptied,
    "a page more": _rewritten(lambda writer: writer.add_blank_page(595, 842)),
    "a page less": _rewritten(lambda writer: writer.remove_page(len(writer.pages) - 1)),
    "pages in another order": _rewritten(_reordered),
    "a page of another report": _rewritten(_of_another),
    "a white rectangle as an annotation": _rewritten(
        lambda writer: writer.add_annotation(0, Rectangle(rect=(50, 500, 400, 800), interior_color="ffffff"))
    ),
    "text as an annotation": _rewritten(
        lambda writer: writer.add_annotation(0, FreeText(text="maize", rect=(50, 700, 200, 720)))
    ),
    "a white rectangle in the page": _rewritten(_drawn_over),
    "two pictures exchanged": _rewritten(_exchange),
    "one pixel": _rewritten(_one_pixel),
    "another attachment": _rewritten(lambda writer: writer.add_attachment("more.txt", b"more")),
    "a script": _rewritten(_scripted),
    "a page cut": _rewritten(_cut),
    "a page turned": _rewritten(lambda writer: writer.pages[0].rotate(180)),
    "the title of the window": _rewritten(lambda writer: writer.add_metadata({"/Title": "Parcel 13"})),
    "parts added to its end": lambda content: content + b"\n1 0 obj\n<< >>\nendobj\nstartxref\n0\n%%EOF\n",
    "a byte added": lambda content: content + b" ",
    "saved anew": _rewritten(lambda writer: None),
}


SAME = ("saved anew", "a byte added")
"""What changes nothing that is drawn: the digest that was signed tells so."""


@pytest.mark.thorough
@pytest.mark.parametrize("which", ["plain", "signed"])
@pytest.mark.parametrize("kind", PDF)
def test_a_pdf_that_shows_something_else_than_its_evidence_is_told(made, tmp_path, kind, which):
    content = (made / which / "report_ms_2024_12.pdf").read_bytes()
    file = tmp_path / "report.pdf"
    file.write_bytes(PDF[kind](content))
    options = {"key": public(made)} if which == "signed" else {}
    verdict = report.verify(file, **options)
    assert "\n" not in str(verdict)
    if which == "signed" and kind in SAME:
        assert verdict.equal
        assert "the page is the one that was signed" in str(verdict)
    else:
        assert verdict.status == 1, str(verdict)


@pytest.mark.thorough
def test_what_a_pdf_shows_and_should_show_is_said(made, tmp_path):
    content = (made / "plain/report_ms_2024_12.pdf").read_bytes()
    file = tmp_path / "report.pdf"
    said = {
        "one empty page": "the document has 1 pages where",
        "a page of another report": r"page 1 says '.*0012.*' where its evidence makes '.*12",
        "text as an annotation": "page 1 has annotations",
        "one pixel": "the figure .* was changed",
        "another attachment": "1 more attachments",
        "a script": "an action when it is opened",
        "a page cut": "draws something else",
    }
    for kind, words_ in said.items():
        file.write_bytes(PDF[kind](content))
        assert re.search(words_, "; ".join(report.verify(file).differences)), kind


def test_the_digest_of_a_pdf_is_of_all_that_is_drawn_and_not_of_the_evidence(made):
    content = (made / "signed/report_ms_2024_12.pdf").read_bytes()
    same = pdfpages.digest(content)
    assert pdfpages.digest(PDF["saved anew"](content)) == same
    refused = {"parts added to its end": "added to its end", "another attachment": "further attachments"}
    others = set(PDF) - {*SAME, *refused}
    changed = {kind: pdfpages.digest(PDF[kind](content)) for kind in others}
    assert same not in changed.values()
    assert len(set(changed.values())) == len(changed)
    for kind, told in refused.items():
        with pytest.raises(InvalidInputError, match=told):
            pdfpages.digest(PDF[kind](content))


# -- rewritten wholly -------------------------------------------------------------------------------------------------


def resealed(document, **changes):
    """Evidence that was changed and sealed again, as somebody does who has this program."""
    sealed = {**evidence.without_seal(document), **changes}
    sealed["sha256_of_facts"] = facts.digest(sealed["facts"])
    sealed["sha256"] = facts.digest({name: value for name, value in sealed.items() if name != "sha256"})
    return sealed


def set_anew(folder, document, name="report"):
    """The files of a report by its evidence, as this program writes them."""
    texts = words.of(document)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.html").write_text(pages.html(texts, PICTURES, document), "utf-8")
    (folder / f"{name}.pdf").write_bytes(pages.pdf(texts, PICTURES, document))
    (folder / f"{name}.json").write_text(facts.text(document))
    return [folder / f"{name}.{form}" for form in ("html", "pdf", "json")]


def with_crop(document, crop):
    parcel = {**document["facts"]["parcel"], "crop_name": crop}
    return {**document["facts"], "parcel": parcel}


@pytest.mark.slow
def test_a_consistent_rewrite_of_page_and_hashes_does_not_have_the_signature(made, tmp_path):
    document = evidence.read(made / "signed/report_ms_2024_12.json")
    others = {**document["others"], "notes": "the farmer is right"}
    rewritten = {
        "facts": resealed(document, facts=with_crop(document, "maize")),
        "notes": resealed(document, others=others),
        "background": resealed(document, page={**document["page"], "maker": "somebody"}),
    }
    for kind, sealed in rewritten.items():
        for file in set_anew(tmp_path / kind, {**sealed, "seal": document["seal"]}):
            verdict = report.verify(file, key=public(made))
            assert verdict.status == 1
            assert (
                "the signature does not hold: evidence or page were changed after it was signed" in verdict.differences
            )
        for file in set_anew(tmp_path / kind, sealed):
            assert "the signature was taken away" in report.verify(file, key=public(made)).differences
            assert report.verify(file).status == 1
        nameless = resealed(sealed, page={**sealed["page"], "signer": ""})
        for file in set_anew(tmp_path / kind, nameless):
            verdict = report.verify(file, key=public(made))
            assert verdict.differences == ("it is not signed, and a key was given by which it should be",)
            assert report.verify(file, lake=False).status == 2
            assert report.verify(file).status == (1 if kind == "facts" else 0)  # the lake knows the facts
            assert "not signed" in str(report.verify(file))
            assert "that its notes, what a notice asks, the results of checks" in str(report.verify(file))


@pytest.mark.thorough
def test_a_report_that_another_key_signed_says_so(made, tmp_path, monkeypatch):
    document = evidence.read(made / "signed/report_ms_2024_12.json")
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path / "other"))
    key = keys.make()
    sealed = resealed(document, page={**document["page"], "signer": key.name})
    signed = seals.sign(sealed, {}, keys.signer())
    monkeypatch.setenv("CBM_LAKE_HOME", str(made))
    for file in set_anew(tmp_path, signed):
        verdict = report.verify(file, key=public(made))
        assert verdict.differences == (
            f"it is signed by another key ({key.name}), not by {keys.read(public(made)).name}",
        )
        verdict = report.verify(file)
        assert verdict.status == 2
        assert verdict.doubts == (f"the key {key.name} is not known here; give the agency's public key",)
        assert report.verify(file, key=key.pem).equal
    posing = {**signed, "page": {**signed["page"], "signer": keys.signer().public.name}}
    file = set_anew(tmp_path, resealed(posing) | {"seal": signed["seal"]})[0]
    assert "does not hold" in "; ".join(report.verify(file, key=public(made)).differences)


def test_a_seal_that_is_none_is_refused(made, tmp_path):
    document = evidence.read(made / "signed/report_ms_2024_12.json")
    seal = document["seal"]
    odd = [
        None,
        [],
        "x",
        {},
        {**seal, "number": "1"},
        {**seal, "public": "?"},
        {**seal, "signature": "AAAA"},
        {**seal, "public": "AAAA"},
        {**seal, "rendered": None},
        {**seal, "previous": 3},
    ]
    file = tmp_path / "report.json"
    for one in odd:
        file.write_text(json.dumps({**document, "seal": one}))
        answer = runner.invoke(app, ["report", "verify", str(file), "--key", str(public(made))])
        assert answer.exit_code == (1 if one is None else 2), one
    weak = base64.b64encode(bytes(32)).decode()  # a point of small order, by which some libraries verify anything
    file.write_text(json.dumps({**document, "seal": {**seal, "public": weak}}))
    assert report.verify(file, key=public(made)).status == 1


# -- verified without the lake ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pdf", "html", "json"])
def test_an_inspector_without_the_lake_verifies_by_the_public_key_alone(made, tmp_path, monkeypatch, form):
    pem = tmp_path / "agency.pub"
    shutil.copy(public(made), pem)
    file = shutil.copy(made / f"signed/report_ms_2024_12.{form}", tmp_path)
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path / "empty"))
    answer = runner.invoke(app, ["report", "verify", str(file), "--key", str(pem)])
    assert answer.exit_code == 0, answer.output
    assert "it is as it was signed; signed by the key" in answer.output
    for asked in (["--key", str(pem), "--lake"], []):  # nothing was changed: nobody may call it forged
        answer = runner.invoke(app, ["report", "verify", str(file), *asked])
        assert answer.exit_code == 2
        assert "there is no lake here to compare its values with; give the agency's public key" in answer.output
        assert "NOT equal" not in answer.output
    answer = runner.invoke(app, ["report", "verify", str(file), "--no-lake"])
    assert answer.exit_code == 2
    assert "is not known here" in answer.output


def test_a_lake_that_cannot_be_read_does_not_make_a_report_a_forgery(made, monkeypatch):
    def lost(*_, **__):
        raise SourceError("the bucket cannot be reached")

    monkeypatch.setattr(facts, "gather", lost)
    verdict = report.verify(made / "plain/report_ms_2024_12.html", redraw=False)
    assert verdict.status == 2
    assert verdict.doubts == ("the lake cannot be read: the bucket cannot be reached",)


def test_pictures_that_the_lake_draws_otherwise_are_told_and_those_of_other_versions_are_not_taken_for_forged(
    made, tmp_path, monkeypatch
):
    file = made / "plain/report_ms_2024_12.html"
    assert "pictures are equal to those drawn anew" in report.verify(file).notes
    monkeypatch.setattr(figures, "draw", lambda *_, **__: ({**PICTURES, "ndvi": picture(7)}, MISSING, ""))
    assert report.verify(file).differences == ("the figure ndvi is not the one that the lake draws",)
    assert report.verify(file, redraw=False).equal
    here = evidence.tools()
    for other in ({"matplotlib": "1.0"}, {"drawing": "earlier code"}):
        monkeypatch.setattr(evidence, "tools", lambda other=other: here | other)
        verdict = report.verify(file)
        assert verdict.equal
        assert "the pictures ndvi were compared with the digests" in str(verdict)


def test_a_changed_page_is_told_also_where_figures_are_drawn_by_other_code(made, tmp_path, monkeypatch):
    page = (made / "plain/report_ms_2024_12.html").read_text("utf-8")
    file = tmp_path / "report.html"
    file.write_text(page.replace("<h2>Radar", "<h2>By radar"), "utf-8")
    here = evidence.tools()
    monkeypatch.setattr(evidence, "tools", lambda: here | {"drawing": "later code"})
    assert report.verify(file, redraw=False).status == 1


def test_a_page_that_other_versions_set_otherwise_is_compared_with_the_one_that_was_signed(made, monkeypatch):
    made_html, made_pdf = pages.html, pages.pdf
    monkeypatch.setattr(pages, "html", lambda *args: made_html(*args).replace("<h2>Radar", "<h2>By radar"))
    monkeypatch.setattr(pages, "pdf", lambda *args: PDF["a page turned"](made_pdf(*args)))
    monkeypatch.setattr(evidence, "tools", lambda: {"typst": "99"})
    for form in ("html", "pdf"):
        verdict = report.verify(made / f"signed/report_ms_2024_12.{form}", key=public(made))
        assert verdict.equal
        assert "the page is the one that was signed, set with" in str(verdict)
        verdict = report.verify(made / f"plain/report_ms_2024_12.{form}")
        assert verdict.status == 2
        assert "looks otherwise when set here with typst 99" in str(verdict)


def test_evidence_of_the_earlier_form_is_compared_but_its_page_cannot_be(made, tmp_path):
    document = evidence.read(made / "plain/report_ms_2024_12.json")
    old = {name: value for name, value in document.items() if name not in ("page", "pixels", "tools")}
    file = tmp_path / "report.json"
    file.write_text(json.dumps(resealed({**old, "format": 1})))
    verdict = report.verify(file)
    assert (verdict.status, verdict.differences) == (2, ())
    assert verdict.numbers > 10
    assert "an earlier version of cbm-lake made it" in str(verdict)


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_keys_are_made_once_private_and_old_ones_stay_known(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "draw", lambda *_, **__: (PICTURES, MISSING, "Sentinel-2 of the lake"))
    fill(open_lake())
    assert runner.invoke(app, ["report", "keys", "list"]).output.startswith("no keys")
    assert runner.invoke(app, ["report", "keys", "show"]).exit_code == 1
    assert runner.invoke(app, ["report", "keys", "make"]).exit_code == 0
    first = keys.listed()[0]
    private = workspace.root / f"config/keys/0001-{first.name}.key"
    assert private.stat().st_mode & 0o777 == 0o600
    content = private.read_bytes()
    with pytest.raises(ConfigError, match="there is a key already"):
        keys.make()
    old = report.parcel("ms", 2024, "12", folder=tmp_path / "old", formats=("html",)).files["html"]
    assert runner.invoke(app, ["report", "keys", "make", "--another"]).exit_code == 0
    assert private.read_bytes() == content
    assert [key.number for key in keys.listed()] == [1, 2]
    new = report.parcel("ms", 2024, "12", folder=tmp_path / "new", formats=("html",)).files["html"]
    for file, key in zip((old, new), keys.listed(), strict=True):
        verdict = report.verify(file)
        assert verdict.equal
        assert f"signed by the key {key.name}" in verdict.signature
        answer = runner.invoke(app, ["report", "keys", "show", key.name[:6]])
        assert answer.output == key.pem
        assert report.verify(file, key=[one.pem for one in keys.listed()]).equal
    assert report.verify_chain([old, new]) == []
    assert [link.number for link in seals.registered(seals.register())] == [1, 2]
    answer = runner.invoke(app, ["report", "keys", "list"]).output.splitlines()
    assert ["signs no more" in line for line in answer] == [True, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "is no public key"), ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "is no public key")],
)
def test_what_is_no_key_is_refused(made, tmp_path, text, told):
    file = tmp_path / "x.pub"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=told):
        report.verify(made / "signed/report_ms_2024_12.json", key=file)
    with pytest.raises(SourceError, match="cannot be read"):
        keys.read(tmp_path / "none.pub")
    private = next((made / "config/keys").glob("*.key"))
    with pytest.raises(InvalidInputError, match="is a private key"):
        keys.read(private)
    with pytest.raises(NotFoundError):
        keys.of_name("zz")


# -- the chain --------------------------------------------------------------------------------------------------------


@pytest.fixture
def chain(workspace, tmp_path, monkeypatch):
    """Five signed reports."""
    monkeypatch.setattr(figures, "draw", lambda *_, **__: ({}, dict.fromkeys(evidence.FIGURES, "left out"), ""))
    fill(open_lake())
    keys.make()
    return [
        report.parcel("ms", 2024, "12", folder=tmp_path, formats=("json",), name=f"report_{number}").files["json"]
        for number in range(5)
    ]


def test_reports_follow_each_other_and_one_that_is_missing_is_told(chain, tmp_path):
    assert report.verify_chain(chain, register=seals.register()) == []
    assert report.verify_chain(reversed(chain)) == []
    told = report.verify_chain([chain[0], *chain[3:]])
    assert told == ["numbers 2 to 3 are not there, before report_3.json"]
    answer = runner.invoke(app, ["report", "chain", str(tmp_path)])
    assert (answer.exit_code, "5 files" in answer.output) == (0, True)
    chain[2].unlink()
    answer = runner.invoke(app, ["report", "chain", str(tmp_path), "--register", str(seals.register())])
    assert (answer.exit_code, answer.output) == (1, "number 3 is not there, before report_3.json\n")
    (tmp_path / "empty").mkdir()
    assert runner.invoke(app, ["report", "chain", str(tmp_path / "empty")]).exit_code == 2


def test_a_register_from_which_lines_were_taken_or_put_elsewhere_is_told(chain, tmp_path):
    lines = seals.register().read_text().splitlines(keepends=True)
    file = tmp_path / "register.jsonl"
    for kept in (lines[:2] + lines[3:], lines[1:], lines[:4], [*lines[:4], lines[0]]):
        file.write_text("".join(kept))
        assert report.verify_chain(chain, register=file)
    file.write_text("".join(lines).replace('"number": 3', '"number": 9'))
    assert any("does not hold" in told for told in report.verify_chain(chain, register=file))
    file.write_text("".join(reversed(lines)))
    assert report.verify_chain(chain, register=file) == []  # each line says its number
    file.write_text("no\n")
    with pytest.raises(InvalidInputError, match="line 1 is no statement"):
        report.verify_chain(chain, register=file)
    with pytest.raises(SourceError, match="restore it"):
        report.verify_chain(chain, register=tmp_path / "none")


def test_half_a_line_at_the_end_of_the_register_is_passed_over_and_replaced(chain, tmp_path):
    register = seals.register()
    whole = register.read_text()
    register.write_text(whole + whole.splitlines()[0][:70])
    assert len(seals.registered(register)) == 5
    report.parcel("ms", 2024, "12", folder=tmp_path, formats=("json",), name="report_5")
    assert [link.number for link in seals.registered(register)] == [1, 2, 3, 4, 5, 6]
    assert report.verify_chain([*chain, tmp_path / "report_5.json"], register=register) == []


# -- odd evidence -----------------------------------------------------------------------------------------------------


def _replaced(document, path, value):
    changed = json.loads(json.dumps(document))
    place = changed
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


ODD = {
    "no facts": (("facts",), ...),
    "no key": (("key",), ...),
    "no page": (("page",), ...),
    "no tools": (("tools",), ...),
    "another format": (("format",), 99),
    "a format of text": (("format",), "2"),
    "true": (("format",), True),
    "a year of text": (("key", "year"), "2024"),
    "a year that is none": (("key", "year"), 10**30),
    "a moment that is none": (("as_of",), "yesterday"),
    "facts as a list": (("facts",), []),
    "no parcel": (("facts", "parcel"), ...),
    "an area of text": (("facts", "parcel", "area_m2"), "large"),
    "no scenes": (("facts", "scenes"), None),
    "rows as numbers": (("facts", "optical"), [1, 2]),
    "a day that is none": (("facts", "optical", 0, "obstime"), 5),
    "peers of two lengths": (("facts", "peers"), {"pids": ["1"], "distance": []}),
    "figures of other names": (("pictures",), {"../../x": "0"}),
    "pixels of other names": (("pixels",), {"/etc/x": "0"}),
    "a missing figure of another name": (("page", "missing"), {"x": "y"}),
    "no reason": (("page", "missing"), {}),
    "notes as a list": (("others",), {"foi": None}),
    "pictures as texts": (("pictures", "ndvi"), 5),
}


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["html", "pdf"])
@pytest.mark.parametrize("kind", ODD)
def test_odd_evidence_is_exit_2_with_one_line(made, tmp_path, kind, form):
    document = evidence.read(made / "plain/report_ms_2024_12.json")
    changed = _replaced(document, *ODD[kind])
    attach(made, tmp_path / f"report.{form}", json.dumps(changed))
    answer = runner.invoke(app, ["report", "verify", str(tmp_path / f"report.{form}")])
    assert answer.exit_code == 2, (answer.output, answer.exception)
    assert answer.output.count("\n") == 1
    assert answer.output.startswith("error: ")


def attach(made, file, text):
    """A report with other evidence in it."""
    source = made / f"plain/report_ms_2024_12{file.suffix}"
    if file.suffix == ".html":
        start, mark, rest = source.read_text("utf-8").partition(f'id="{evidence.ELEMENT}">')
        file.write_text(start + mark + text + rest[rest.index("</script>") :], "utf-8")
    elif file.suffix == ".pdf":
        writer = PdfWriter()
        writer.append(source)
        writer.add_attachment(evidence.NAME, text.encode())
        writer.write(file)
    else:
        file.write_text(text)
    return file


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["json", "html", "pdf"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[]",
        "null",
        "1",
        '"x"',
        "{",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        "[" * 10_000 + "]" * 10_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"a": 1, "a": 2}',
        '{"a": "\\ud800"}',
        '{"a": ' + "9" * 5000 + "}",
        "{} {}",
        "\ufeff{}",
    ],
)
def test_what_is_no_evidence_is_exit_2_with_one_line(made, tmp_path, text, form):
    file = attach(made, tmp_path / f"report.{form}", text)
    answer = runner.invoke(app, ["report", "verify", str(file)])
    assert answer.exit_code == 2, (answer.output, answer.exception)
    assert answer.output.count("\n") == 1


def test_two_evidences_are_refused(made, tmp_path):
    page = (made / "plain/report_ms_2024_12.html").read_text("utf-8")
    script = page[page.index("<script") : page.index("</script>") + 9]
    file = tmp_path / "report.html"
    file.write_text(page.replace("</body>", f"{script}</body>"), "utf-8")
    with pytest.raises(InvalidInputError, match="several elements of evidence"):
        report.verify(file)
    writer = PdfWriter()
    for _ in range(2):
        writer.add_attachment(evidence.NAME, b"{}")
    writer.add_blank_page(9, 9)
    writer.write(tmp_path / "report.pdf")
    with pytest.raises(InvalidInputError, match="several attachments"):
        report.verify(tmp_path / "report.pdf")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=5), PLAIN, max_size=3)


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _paths(inner, (*path, name))


@given(data=st.data(), value=VALUES)
def test_evidence_with_any_value_anywhere_is_refused_or_different(home, tmp_path_factory, data, value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(home))
        document = evidence.read(home / "signed/report_ms_2024_12.json")
        path = data.draw(st.sampled_from(sorted(filter(None, _paths(document)), key=str)))
        changed = _replaced(document, path, value)
        file = tmp_path_factory.getbasetemp() / "any.json"
        file.write_text(json.dumps(changed))
        try:
            verdict = report.verify(file, key=public(home), redraw=False)
        except LakeError as refused:
            assert len(str(refused).splitlines()) == 1  # noqa: PT017
        else:
            assert verdict.status == (0 if facts.text(changed) == facts.text(document) else 1)


@given(content=st.binary(max_size=300), ending=st.sampled_from(["pdf", "html", "json"]))
def test_any_bytes_are_refused_in_one_line(tmp_path_factory, content, ending):
    file = tmp_path_factory.getbasetemp() / f"any.{ending}"
    file.write_bytes(content)
    with pytest.raises(LakeError):
        report.verify(file)


@pytest.mark.slow
@given(at=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_a_turned_bit_of_a_pdf_is_never_equal(home, tmp_path_factory, at, bit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(home))
        content = bytearray((home / "plain/report_ms_2024_12.pdf").read_bytes())
        content[at % len(content)] ^= 1 << bit
        file = tmp_path_factory.getbasetemp() / "bit.pdf"
        file.write_bytes(content)
        try:
            verdict = report.verify(file, lake=False)
        except LakeError:
            return
        assert verdict.status == 1


def test_a_whole_number_is_no_other_number():
    assert verification.differences({"a": 1}, {"a": 1.0}) == ["a was 1, is 1.0"]
