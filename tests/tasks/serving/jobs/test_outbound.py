"""What may be called is what the installation names, and nothing else."""

import base64
import hashlib
import hmac

import pytest

from tasks.serving.jobs.outbound import check_url, origins_of
from tasks.serving.jobs.webhooks import Signer
from tasks.serving.protocol.refusal import Refusal

NAMED = origins_of("https://hooks.example.com, http://10.0.0.7:9000")


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/a?b=c", "https://HOOKS.example.com:443/", "http://10.0.0.7:9000"]
)
def test_a_named_origin_may_be_called(url):
    assert check_url(url, NAMED, "webhook") == url


@pytest.mark.parametrize(
    ("url", "status", "text"),
    [
        ("http://hooks.example.com/", 403, "webhook: http://hooks.example.com may not be called"),
        (
            "https://hooks.example.com:8443/",
            403,
            "names: http://10.0.0.7:9000, https://hooks.example.com:443",
        ),
        ("https://hooks.example.com.evil.org/", 403, "may not be called"),
        ("http://169.254.169.254/latest/meta-data", 403, "may not be called"),
        ("http://[::1]:8080/", 403, "may not be called"),
        ("http://2130706433/", 403, "may not be called"),
        ("https://a@hooks.example.com/", 400, "want it without user"),
        ("https://evil.org\\@hooks.example.com/", 400, "webhook is"),
        ("https://hooks.example.com/#a", 400, "want it without user, password, fragment"),
        ("https://hooks.example.com:99999/", 400, "webhook is"),
        ("https://hooks.example.com/ HTTP/1.1", 400, "without user, password, fragment and spaces"),
        ("file:///etc/passwd", 400, "want a URL such as"),
        ("//hooks.example.com", 400, "want a URL such as"),
        ("https://hooks.example.com/" + "a" * 2048, 400, "at most 2048 characters"),
        ("", 400, "want a URL such as"),
    ],
)
def test_nothing_else_may_be_called(url, status, text):
    with pytest.raises(Refusal, match=text.replace("(", r"\(")) as refused:
        check_url(url, NAMED, "webhook")
    assert refused.value.status == status


def test_without_a_setting_nothing_may_be_called():
    with pytest.raises(Refusal, match="GYRE_OUTBOUND_ORIGINS names: none yet"):
        check_url("https://hooks.example.com", origins_of(""), "url")


@pytest.mark.parametrize("given", ["hooks.example.com", "ftp://a", "https://a/path", "*"])
def test_a_setting_that_is_no_list_of_origins_is_refused(given):
    with pytest.raises(ValueError, match="is no origin; want such as"):
        origins_of(given)


def test_a_call_is_verified_by_its_callers_secret_and_by_no_others(tmp_path):
    signer = Signer(tmp_path / "webhook.key")
    headers = signer.headers("shop", "job1", 1700000000, b"{}")
    key = base64.b64decode(signer.secret("shop").removeprefix("whsec_"))
    expected = hmac.digest(key, b"job1.1700000000.{}", hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert signer.secret("shop") != signer.secret("other")


def test_the_secret_stays_the_same_and_is_its_owners_alone(tmp_path):
    file = tmp_path / "webhook.key"
    assert Signer(file).secret("shop") == Signer(file).secret("shop")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["webhook.key"]
