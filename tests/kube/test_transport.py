import asyncio
import base64
import gc
import inspect
import os
import ssl
import subprocess
import tempfile
import warnings
from asyncio import sslproto

import kr8s.asyncio
import pytest
from aiohttp import web

from controller.kube import credentials, errors
from controller.kube.api import JOBS, Kube
from controller.kube.transport import Pool
from tests.kube.doubles import events_of, status


async def ok(_request):
    return web.json_response({})


def temporary_files():
    return {entry.name for entry in os.scandir(tempfile.gettempdir()) if entry.is_file()}


def test_the_hook_that_pools_replace_is_still_in_kr8s():
    assert inspect.iscoroutinefunction(kr8s.asyncio.Api._create_session)
    assert "_create_session" in inspect.getsource(kr8s.asyncio.Api.call_api)
    assert Pool._create_session is not kr8s.asyncio.Api._create_session


def test_the_buffer_of_a_tls_connection_can_still_be_made_smaller():
    assert "bytearray(self.max_size)" in inspect.getsource(sslproto.SSLProtocol)


async def test_no_cluster_is_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(errors.Refused, match="KUBECONFIG"):
        await Kube.connect()


@pytest.mark.parametrize("text", ["", "a: [", "{}", "contexts: 3\ncurrent-context: a"])
async def test_an_unusable_kubeconfig_is_refused(tmp_path, text):
    (tmp_path / "config").write_text(text)
    with pytest.raises(errors.Refused):
        await Kube.connect(kubeconfig=str(tmp_path / "config"))


async def test_the_cluster_is_found_by_kubeconfig_and_asked_nothing_before_it_is_needed(script, monkeypatch):
    script.answer = ok
    monkeypatch.setenv("KUBECONFIG", script.kubeconfig(user={"token": "secret"}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kube = await Kube.connect()
        assert script.asked == []
        assert (kube.server, kube.namespace) == (script.url, "")
        gc.collect()  # kr8s holds its clients by weak references only
        await kube.get(JOBS, "ns", "job")
        await kube.aclose()
    (asked,) = script.asked
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["Accept-Encoding"] == "identity"


async def test_a_server_below_a_path_is_reached(script):
    script.answer = ok
    script.url += "/k8s/clusters/one"
    async with script.kube() as kube:
        await kube.get(JOBS, "ns", "job")
    assert script.asked[0].path == "/k8s/clusters/one/apis/batch/v1/namespaces/ns/jobs/job"


async def test_proxies_and_netrc_of_the_environment_are_left_alone(script, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    script.answer = ok
    async with script.kube() as kube:
        assert await kube.get(JOBS, "ns", "job") == b"{}"
    assert "Authorization" not in script.asked[0].headers


async def test_the_proxy_of_the_kubeconfig_is_used(script):
    script.answer = ok
    path = script.kubeconfig(**{"proxy-url": script.url, "server": "http://far.away:6443"})
    kube = await Kube.connect(kubeconfig=path)
    await kube.get(JOBS, "ns", "job")
    await kube.aclose()
    assert str(script.asked[0].url).startswith("http://far.away:6443/apis")


async def test_a_token_file_is_read_again_each_minute(script, tmp_path):
    now, token = [0.0], tmp_path / "token"
    token.write_text("first\n")
    script.answer = ok
    async with script.kube(user={"tokenFile": str(token)}, clock=lambda: now[0]) as kube:
        for second, text in ((30, "second"), (61, "second"), (90, "third"), (122, "third")):
            now[0] = second
            token.write_text(text)
            await kube.get(JOBS, "ns", "job")
        token.unlink()
        now[0] = 200
        await kube.get(JOBS, "ns", "job")
    said = [asked.headers["Authorization"].removeprefix("Bearer ") for asked in script.asked]
    assert said == ["first", "second", "second", "third", "third"]


async def test_after_401_the_credentials_are_renewed_once_and_streams_live_on(script, tmp_path):
    token = tmp_path / "token"
    token.write_text("old")
    renewed = asyncio.Event()

    async def answer(request):
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b'{"type":"BOOKMARK","object":{}}\n')
            await renewed.wait()
            await response.write(b'{"type":"BOOKMARK","object":{}}\n')
            return response
        if request.headers["Authorization"] == "Bearer new":
            return web.json_response({})
        return web.json_response(status(401, "Unauthorized"), status=401)

    script.answer = answer
    async with script.kube(user={"tokenFile": str(token)}) as kube:
        watch = events_of(kube, JOBS, version="1", timeout_seconds=300)
        assert (await anext(watch)).type == "BOOKMARK"
        token.write_text("new")
        for _ in range(3):
            assert await kube.get(JOBS, "ns", "job") == b"{}"
        renewed.set()
        assert (await anext(watch)).type == "BOOKMARK"
        await watch.aclose()
    assert len([asked for asked in script.asked if "watch" not in asked.query]) == 4


async def test_a_401_that_stays_is_unavailable_and_no_login_storm(script, tmp_path):
    now = [100.0]
    counted = tmp_path / "logins"
    login = tmp_path / "login"
    told = '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"t"}}'
    login.write_text(f"#!/bin/sh\necho >> {counted}\necho '{told}'\n")
    login.chmod(0o755)

    async def answer(_request):
        return web.json_response(status(401, "Unauthorized"), status=401)

    script.answer = answer
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(login)}}
    async with script.kube(user=user, clock=lambda: now[0]) as kube:
        for seconds in (1, 2, 3, 20):
            now[0] = 100.0 + seconds
            with pytest.raises(errors.Unavailable) as caught:
                await kube.get(JOBS, "ns", "job")
            assert caught.value.code == 401
    assert counted.read_text().count("\n") == 1 + 2, "at the start, then at most one in ten seconds"
    assert script.asked[0].headers["Authorization"] == "Bearer t"


@pytest.fixture(scope="module")
def key_pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
async def secure_url(key_pair):
    """A server that asks for a client certificate and says whose it got."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(key_pair / "cert.pem", key_pair / "key.pem")
    context.load_verify_locations(key_pair / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(_request):
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_inline_keys_are_used_and_not_left_lying_about(script, key_pair, secure_url):
    script.url = secure_url
    pem = {
        name: base64.b64encode((key_pair / f"{name}.pem").read_bytes()).decode() for name in ("cert", "key")
    }
    user = {"client-certificate-data": pem["cert"], "client-key-data": pem["key"]}
    before = temporary_files()
    kube = await Kube.connect(
        kubeconfig=script.kubeconfig(user, **{"certificate-authority-data": pem["cert"]})
    )
    assert temporary_files() == before
    assert await kube.get(JOBS, "ns", "job") == b"{}"
    await kube._wire.identity.renew("")
    assert temporary_files() == before
    assert await kube.get(JOBS, "ns", "job") == b"{}"
    await kube.aclose()


async def test_keys_in_files_stay_there(script, key_pair, secure_url):
    script.url = secure_url
    user = {"client-certificate": str(key_pair / "cert.pem"), "client-key": str(key_pair / "key.pem")}
    kube = await Kube.connect(
        kubeconfig=script.kubeconfig(user, **{"certificate-authority": str(key_pair / "cert.pem")})
    )
    assert await kube.get(JOBS, "ns", "job") == b"{}"
    await kube.aclose()
    assert (key_pair / "key.pem").exists()


async def test_a_server_that_cannot_prove_itself_is_unavailable(script, key_pair, secure_url):
    script.url = secure_url
    async with script.kube() as kube:
        with pytest.raises(errors.Unavailable, match="ertificate"):
            await kube.get(JOBS, "ns", "job")


async def test_in_a_pod_namespace_and_token_come_from_files(key_pair, tmp_path, secure_url, monkeypatch):
    account = tmp_path / "serviceaccount"
    account.mkdir()
    for name, text in (
        ("token", "t1"),
        ("namespace", "agents"),
        ("ca.crt", (key_pair / "cert.pem").read_text()),
    ):
        (account / name).write_text(text)
    host, port = secure_url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", account)
    kube = await Kube.connect()
    assert (kube.server, kube.namespace) == (secure_url, "agents")
    await kube.aclose()
    assert {entry.name for entry in os.scandir(account)} == {"token", "namespace", "ca.crt"}
