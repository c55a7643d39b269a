"""URLs: which ones are of the site's forms or the store's, what is replaced in them, and what stays."""

from __future__ import annotations

import pickle
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.notation import Notation, Written
from sketchmigrate.core.routes import Route, Routes, RoutesClash
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.store_urls import StorePlace
from sketchmigrate.core.urls import UrlForm, UrlNotation

IMAGES = Route("old", "image/", "new", "avatar/")
THUMBS = Route("old", "image/thumb/", "new", "small pics/")
ROUTES = Routes((IMAGES, THUMBS))
FORM = UrlForm("https://old.example.com/{key}", "https://cdn.example.com/{key}", "old")
IRELAND, FRANKFURT = StorePlace("", "eu-west-1"), StorePlace("", "eu-central-1")
SITE = UrlNotation(ROUTES, (FORM,), IRELAND, FRANKFURT)


def moved(url: str, notation: Notation = SITE) -> str | None:
    """Return a legacy URL as it is in production; None where it is no legacy one."""
    found = notation.read(url)
    if found is None or found.side is not SideName.LEGACY:
        return None
    assert notation.read(found.front + url[found.cut :]) == _there(found)
    return found.front + url[found.cut :]


def _there(found: Written) -> Written:
    """What has to be read of the new URL."""
    back = (found.other_bucket, found.other_key, found.bucket, found.key)
    return Written(SideName.PRODUCTION, *back, 0, "")


@pytest.mark.parametrize(
    ("url", "new"),
    [
        ("https://old.example.com/image/a.png", "https://cdn.example.com/avatar/a.png"),
        ("HTTPS://OLD.Example.com/image/a.png", "https://cdn.example.com/avatar/a.png"),
        ("https://old.example.com:443/image/a.png", "https://cdn.example.com/avatar/a.png"),
        ("https://old.example.com:/image/a.png", "https://cdn.example.com/avatar/a.png"),
        ("//old.example.com/image/a.png", "//cdn.example.com/avatar/a.png"),
        ("https://old.example.com/im%61ge/a%20b.png", "https://cdn.example.com/avatar/a%20b.png"),
        ("https://old.example.com/image%2Fa%2fb.png", "https://cdn.example.com/avatar%2Fa%2fb.png"),
        ("https://old.example.com/image%2Fa/b%2fc", "https://cdn.example.com/avatar/a/b%2fc"),
        ("https://old.example.com/image/thumb/a", "https://cdn.example.com/small%20pics/a"),
        ("https://old.example.com/image/a+b.png?a+b=1&c#d?e", "https://cdn.example.com/avatar/a+b.png?a+b=1&c#d?e"),
        ("https://old.example.com/image/a#b?c", "https://cdn.example.com/avatar/a#b?c"),
        ("https://old.example.com/image/a b é%C3%A9.png", "https://cdn.example.com/avatar/a b é%C3%A9.png"),
        ("https://old.example.com/image/a/../b//c", "https://cdn.example.com/avatar/a/../b//c"),
        ("https://old.example.com/image/a?Signature=1", "https://cdn.example.com/avatar/a?Signature=1"),
        ("https://old.s3.eu-west-1.amazonaws.com/image/a", "https://new.s3.eu-central-1.amazonaws.com/avatar/a"),
        ("http://OLD.s3.eu-WEST-1.amazonaws.com:80/image/a", "http://new.s3.eu-central-1.amazonaws.com/avatar/a"),
        ("https://old.s3-us-west-2.amazonaws.com/image/a", "https://new.s3.eu-central-1.amazonaws.com/avatar/a"),
        ("https://old.s3.us-gov-west-1.amazonaws.com/image/a", "https://new.s3.eu-central-1.amazonaws.com/avatar/a"),
        ("//old.s3.amazonaws.com/image/a", "//new.s3.eu-central-1.amazonaws.com/avatar/a"),
        ("https://s3.amazonaws.com/old/image/a", "https://s3.eu-central-1.amazonaws.com/new/avatar/a"),
        ("https://s3-external-1.amazonaws.com/old/image/a", "https://s3.eu-central-1.amazonaws.com/new/avatar/a"),
        ("https://s3.eu-west-1.amazonaws.com/old/image/a", "https://s3.eu-central-1.amazonaws.com/new/avatar/a"),
        (
            "https://old.s3.dualstack.eu-west-1.amazonaws.com/image/a",
            "https://new.s3.dualstack.eu-central-1.amazonaws.com/avatar/a",
        ),
        (
            "https://s3.dualstack.eu-west-1.amazonaws.com/old/image/a",
            "https://s3.dualstack.eu-central-1.amazonaws.com/new/avatar/a",
        ),
        ("s3://old/image/a%20b?x", "s3://new/avatar/a%20b?x"),
        ("S3://old/image/a", "S3://new/avatar/a"),
    ],
)
def test_only_the_form_and_the_prefix_are_replaced(url: str, new: str) -> None:
    assert moved(url) == new


@pytest.mark.parametrize(
    "url",
    [
        "",
        "image/a.png",
        "http://old.example.com/image/a.png",
        "https://old.example.com:8443/image/a.png",
        "https://old.example.com.evil.org/image/a.png",
        "https://user@old.example.com/image/a.png",
        "https:/old.example.com/image/a.png",
        " https://old.example.com/image/a.png",
        "https://old.example.com",
        "https://old.example.com/",
        "https://old.example.com/other/a.png",
        "https://old.example.com/Image/a.png",
        "https://old.example.com/100%-off",
        "https://other.s3.eu-west-1.amazonaws.com/image/a",
        "https://s3.eu-west-1.amazonaws.com/other/image/a",
        "https://s3.eu-west-1.amazonaws.com/old",
        "https://old.s3.eu-west-1.amazonaws.com.evil.org/image/a",
        "s3://Old/image/a",
    ],
)
def test_what_is_no_reference(url: str) -> None:
    assert SITE.read(url) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://old.example.com/image/a?X-Amz-Signature=1", "presigned"),
        ("https://old.example.com/image/a?b=1&x-amz-SIGNATURE=1", "presigned"),
        ("s3://old/image/a?AWSAccessKeyId=1&Expires=1&signature=2", "presigned"),
        ("https://old.example.com/image/100%-off", "'%-o' in the URL is no percent-encoding"),
        ("https://old.example.com/image/a%2", "'%2' in the URL is no percent-encoding"),
        ("https://old.example.com/image/%ff", "not text in UTF-8"),
        ("https://old.example.com/image/%C3/é", "not text in UTF-8"),
        ("https://old.example.com/image/\ud800", "not text in UTF-8"),
        ("https://old.example.com/image/a%00b", "NUL"),
        ("https://old.example.com/image/", "is only the prefix 'image/'"),
        ("https://old.example.com/image/?x", "is only the prefix 'image/'"),
        ("https://old.example.com/image/" + "a" * 1019, "the legacy key is 1025 bytes long; S3 allows 1024"),
        ("https://old.example.com/image/" + "%C3%A9" * 510, "the legacy key is 1026 bytes long; S3 allows 1024"),
        ("https://old.example.com/image/" + "a" * 1018, "the production key would be 1025 bytes long; S3 allows 1024"),
    ],
)
def test_what_cannot_be_moved(url: str, said: str) -> None:
    with pytest.raises(Unmappable) as caught:
        SITE.read(url)
    assert said in str(caught.value)


def test_an_empty_key_is_refused_where_every_key_moves() -> None:
    everything = UrlNotation(Routes((Route("old", "", "new", ""),)), (FORM,), IRELAND, FRANKFURT)
    everything.check()
    assert moved("https://old.example.com/a", everything) == "https://cdn.example.com/a"
    with pytest.raises(Unmappable, match="the key is empty"):
        everything.read("https://old.example.com/?x")


def test_a_url_of_production_that_names_no_object_is_no_reference() -> None:
    assert SITE.read("https://cdn.example.com/avatar/%ff") is None
    assert SITE.read("https://cdn.example.com/avatar/a?X-Amz-Signature=1") is not None


@pytest.mark.parametrize(
    ("legacy", "production", "url", "new"),
    [
        ("http://s3.lan:9000", "", "http://s3.lan:9000/old/image/a", "http://s3.us-east-1.amazonaws.com/new/avatar/a"),
        ("http://s3.lan:9000", "", "http://old.s3.lan:9000/image/a", "http://new.s3.us-east-1.amazonaws.com/avatar/a"),
        ("https://s3.lan:443/x/", "", "//S3.lan/x/old/image/a", "//s3.us-east-1.amazonaws.com/new/avatar/a"),
        ("", "http://s3.lan:9000/x", "https://old.s3.amazonaws.com/image/a", "http://new.s3.lan:9000/x/avatar/a"),
        ("", "http://s3.lan:9000/x", "https://s3.amazonaws.com/old/image/a", "http://s3.lan:9000/x/new/avatar/a"),
        ("", "http://s3.lan:9000", "s3://old/image/a", "s3://new/avatar/a"),
        (
            "http://s3.lan:9000",
            "http://s3.lan:9000",
            "https://s3.lan:9000/old/image/a",
            "https://s3.lan:9000/new/avatar/a",
        ),
        ("http://s3.lan", "http://s3.lan", "https://old.s3.amazonaws.com/image/a", None),
        ("", "", "https://old.s3.amazonaws.com/image/a", "https://new.s3.amazonaws.com/avatar/a"),
        (
            "https://s3.eu-west-1.amazonaws.com",
            "",
            "https://old.s3.amazonaws.com/image/a",
            "https://new.s3.amazonaws.com/avatar/a",
        ),
    ],
)
def test_a_url_of_one_store_becomes_one_of_the_other(legacy: str, production: str, url: str, new: str | None) -> None:
    sides = StorePlace(legacy, "us-east-1"), StorePlace(production, "us-east-1")
    assert moved(url, UrlNotation(ROUTES, (), *sides)) == new


def test_a_region_of_china_has_hosts_of_its_own() -> None:
    notation = UrlNotation(ROUTES, (), StorePlace("", "cn-north-1"), StorePlace("", "cn-northwest-1"))
    url, new = "s3.cn-north-1.amazonaws.com.cn/old/image/a", "s3.cn-northwest-1.amazonaws.com.cn/new/avatar/a"
    assert moved(f"https://{url}", notation) == f"https://{new}"


def test_a_template_takes_the_place_of_all_urls_of_the_store() -> None:
    notation = UrlNotation(ROUTES, (FORM,), IRELAND, FRANKFURT, s3_urls="https://img.example.com/{key}")
    notation.check()
    for url in ("https://old.s3.amazonaws.com/image/a", "http://s3.amazonaws.com/old/image/a", "s3://old/image/a"):
        assert moved(url, notation) == "https://img.example.com/avatar/a"
    assert moved("//old.s3.amazonaws.com/image/a", notation) == "//img.example.com/avatar/a"
    assert moved("https://old.example.com/image/a", notation) == "https://cdn.example.com/avatar/a"


def test_a_key_may_be_in_the_query() -> None:
    form = UrlForm("https://old.example.com/get?x=1&file={key}", "https://new.example.com/{key}", "old")
    notation = UrlNotation(ROUTES, (form,), IRELAND, FRANKFURT)
    url = "https://old.example.com/get?x=1&file=image%2Fa+b?c&w=64#d"
    found = notation.read(url)
    assert found is not None
    assert found.key == "image/a+b?c"
    assert found.front + url[found.cut :] == "https://new.example.com/avatar%2Fa+b?c&w=64#d"


def test_the_longest_form_that_leads_anywhere_counts() -> None:
    forms = (
        UrlForm("https://old.example.com/{key}", "https://cdn.example.com/{key}", "old"),
        UrlForm("https://old.example.com/files/{key}", "https://files.example.com/{key}", "other"),
    )
    routes = Routes((IMAGES, Route("old", "files/x/", "new", "x/"), Route("other", "image/", "new", "files/")))
    notation = UrlNotation(routes, forms, IRELAND, FRANKFURT)
    notation.check()
    assert moved("https://old.example.com/image/a", notation) == "https://cdn.example.com/avatar/a"
    assert moved("https://old.example.com/files/image/a", notation) == "https://files.example.com/files/a"
    assert moved("https://old.example.com/files/x/a", notation) == "https://cdn.example.com/x/a"


def test_what_else_tells_the_side_is_heeded() -> None:
    same = UrlForm("https://cdn.example.com/{key}", "https://cdn.example.com/{key}", "old")
    notation = UrlNotation(Routes((Route("old", "image/", "new", "image/"),)), (same,), IRELAND, FRANKFURT)
    with pytest.raises(RoutesClash, match=r"look alike: https://cdn\.example\.com/image/"):
        notation.check()
    url = "https://cdn.example.com/image/a"
    legacy, production = (notation.read(url, side) for side in (SideName.LEGACY, SideName.PRODUCTION))
    assert legacy == Written(SideName.LEGACY, "old", "image/a", "new", "image/a", 30, "https://cdn.example.com/image/")
    assert production == _there(legacy)
    assert SITE.read("https://old.example.com/image/a", SideName.PRODUCTION) is None


def test_one_form_writes_no_two_places_alike() -> None:
    routes = Routes((Route("old", "a/", "new", "x/"), Route("old", "b/", "newer", "x/")))
    with pytest.raises(RoutesClash, match="production prefixes that one form of URL writes"):
        UrlNotation(routes, (FORM,), IRELAND, FRANKFURT).check()
    UrlNotation(routes, (), IRELAND, FRANKFURT).check()


@pytest.mark.parametrize(
    "template",
    [
        "https://old.example.com/",
        "https://old.example.com/{key}.png",
        "https://old.example.com/{key}?x={key}",
        "https://old.example.com{key}",
        "https://me:secret@old.example.com/{key}",
        "https://old.example.com/#{key}",
        "https://old.example.com/{other}/{key}",
        "//old.example.com/{key}",
        "/media/{key}",
    ],
)
def test_a_template_ends_with_the_key(template: str) -> None:
    for wrong in ((template, FORM.production), (FORM.legacy, template)):
        with pytest.raises(ValueError, match=r"must (end with|be scheme://host/)"):
            UrlForm(*wrong, "old")
    with pytest.raises(ValueError, match=r"must (end with|be scheme://host/)"):
        UrlNotation(ROUTES, (), IRELAND, FRANKFURT, template)


TAILS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("%+/?#&= é"), min_size=1
)


@st.composite
def spellings(draw: st.DrawFn, key: str) -> str:
    """Any spelling of a key: what must be is percent-encoded, and any other character may be."""
    return "".join(quote(char, safe="") if char in "%?#" or draw(st.booleans()) else char for char in key)


@given(st.data(), TAILS, st.sampled_from(["", "?a=b%20+", "#x", "?a#b"]))
def test_whatever_the_spelling_the_key_moves_and_the_rest_stays(data: st.DataObject, tail: str, rest: str) -> None:
    key = f"image/{tail}"
    assume(len(key.encode()) < 1000 and not tail.startswith("thumb/"))
    prefix, spelled = data.draw(spellings("image/")), data.draw(spellings(tail))
    url = f"https://old.example.com/{prefix}{spelled}{rest}"
    found = pickle.loads(pickle.dumps(SITE)).read(url)  # noqa: S301 - ours
    assert found[:5] == (SideName.LEGACY, "old", key, "new", f"avatar/{tail}")
    new = found.front + url[found.cut :]
    slashes = "%2F" if "/" not in prefix + spelled else "/"
    assert new == f"https://cdn.example.com/avatar{slashes}{spelled}{rest}"
    read = urlsplit(new)
    if not set(tail) & set("\t\r\n"):  # the standard library takes them out
        assert unquote(read.path) == f"/avatar/{tail}"
    assert SITE.read(new) == _there(found)
