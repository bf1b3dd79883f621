# mypy: allow-subclassing-any
"""An access point that is not ours: PyPI's `as4` (messages, encryption, receipts) and libxmlsec1 (pull requests).

It runs in an environment of its own, imports nothing of the project, and is told what to do as JSON over HTTP. What
`as4` adds for Peppol (its business header, its certificate authority, one payload, always encrypted) is left out here;
everything on the wire, and every check, is that package's own.
"""

import base64
import gzip
import http.client
import json
import sys
import traceback
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import xmlsec
from as4 import (
    AS4BaseCredentials,
    AS4ExternalParty,
    AS4InternalCredentials,
    AS4InternalParty,
    AS4LocalPrivateKey,
    AS4ParseContext,
    AS4PartyIdentity,
    AS4ReceivingExchange,
    AS4References,
    AS4SendingExchange,
    SecurityPolicy,
    pinned_certificates,
)
from as4.core.message import AS4Message
from as4.models.common import NAMESPACES
from as4.models.ebms import user_message as um
from as4.models.ebms.message_info import MessageId, MessageInfo, Timestamp
from as4.models.soap.envelope import Body, Envelope
from as4.models.soap.header import Header
from as4.models.wsse.security import Security
from as4.profiles.peppol.message import PeppolAS4Message
from as4.profiles.peppol.profile import PeppolAS4Profile
from as4.utils.cipher_handler import CipherHandler
from as4.utils.mime_handler import MIMEHandler
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
SOAP = "http://www.w3.org/2003/05/soap-envelope"
EB = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"


class Arguments:
    """What a message says, and what it carries: pairs of a media type and bytes."""

    namespace_map = NAMESPACES

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        self.payloads = [(kind, base64.b64decode(held)) for kind, held in said["payloads"]]
        self.mimes: dict[str, str] = {}


class Message(PeppolAS4Message):
    """A message of the common profile: any payloads, no business header."""

    @classmethod
    def process(cls, fields: Any, parse_context: Any, soap_envelope_element: Any, mime_attachments: Any) -> Any:
        return AS4Message.process.__func__(cls, fields, parse_context, soap_envelope_element, mime_attachments)

    @classmethod
    def get_decrypted_data(cls, parse_context: Any, security: Any, mime_attachments: Any) -> Any:
        if security.encrypted_key is None and not parse_context.security_policy.encrypt_required:
            return dict(mime_attachments)
        return super().get_decrypted_data(parse_context, security, mime_attachments)

    @classmethod
    def get_user_message(cls, local_party: Any, remote_party: Any, builder_args: Any, references: Any) -> Any:
        said = builder_args.said
        info = [
            um.PartInfo(href=f"cid:{cid}", part_properties=um.PartProperties(properties=[
                um.Property(name="MimeType", value=kind), um.Property(name="CompressionType", value="application/gzip"),
            ]))
            for cid, kind in builder_args.mimes.items()
        ]  # fmt: skip
        return um.UserMessage(
            message_info=MessageInfo(
                timestamp=Timestamp(value=datetime.now(UTC)), message_id=MessageId(value=references.message_id)
            ),
            party_info=um.PartyInfo(
                party_to=remote_party.identity.to_party_to(), party_from=local_party.identity.to_party_from()
            ),
            collaboration_info=um.CollaborationInfo(
                agreement_ref=um.AgreementRef(value=said["agreement"]), service=um.Service(value=said["service"]),
                action=um.Action(value=said["action"]), conversation_id=um.ConversationId(value=said["conversation"]),
            ),
            message_properties=um.MessageProperties(properties=[um.Property(name="originalSender", value="them")]),
            payload_info=um.PayloadInfo(part_info=info),
        )  # fmt: skip

    @classmethod
    def build_message(
        cls, payload: Any, *, local_party: Any, remote_party: Any, builder_args: Any, references: Any
    ) -> Any:
        held = {f"{uuid4()}@cid": gzip.compress(content) for _, content in builder_args.payloads}
        kinds = [kind for kind, _ in builder_args.payloads]
        builder_args.mimes = dict(zip(held, kinds, strict=True))
        references.attachment_id_encrypted_data_id_map = {cid: f"ED-{uuid4()}" for cid in held}
        if builder_args.said["encrypt"]:
            ((cid, content),) = held.items()  # one at a time, as the package does it
            session, secret = CipherHandler.encrypt_payload(content)
            wrapped = remote_party.credentials.rsa_public_key.encrypt(session, OAEP)
            envelope = cls.get_soap_envelope(local_party, remote_party, builder_args, references, wrapped, held)
            sent = {cid: secret}
        else:
            sent, envelope = held, cls._signed(local_party, remote_party, builder_args, references, held)
        return cls(soap_envelope=envelope, message_id=references.message_id, messaging_id=references.messaging_id,
                   mime_attachments=sent)  # fmt: skip

    @classmethod
    def _signed(cls, local_party: Any, remote_party: Any, arguments: Any, references: Any, held: Any) -> Any:
        messaging = cls.get_messaging(
            references, cls.get_user_message(local_party, remote_party, arguments, references)
        )
        body = Body(body_id=references.body_id)
        info = cls.get_signed_info(references, messaging, body, held)
        security = Security(binary_security_tokens=[cls.get_local_binary_security_token(local_party, references)],
                            signature=cls.get_signature(local_party, arguments, references, info))  # fmt: skip
        return Envelope(header=Header(security=security, messaging=messaging), body=body)


class Profile(PeppolAS4Profile):
    """The same for `as4`."""

    @classmethod
    def get_profile_name(cls) -> str:
        return "common"

    @classmethod
    def message_class(cls) -> Any:
        return Message

    @classmethod
    def build_message(cls, payload: bytes, *, references: Any = None, **given: Any) -> Any:
        return Message.build_message(payload, references=references or AS4References(), **given)

    @classmethod
    def unpack_message(cls, payload: bytes) -> Any:
        first, *others = list(MIMEHandler.parser.parsebytes(payload).iter_parts())
        return first.get_payload(decode=True), {
            MIMEHandler.get_content_id(part): part.get_payload(decode=True) for part in others
        }


class AccessPoint:
    """Its keys, the partner it knows, what it received, and how it misbehaves for a while."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.lost, self.late = told, 0, False
        self.received: list[dict[str, Any]] = []
        self.signals: list[dict[str, Any]] = []
        self.certificate = x509.load_pem_x509_certificate(told["certificate"].encode())
        key: Any = load_pem_private_key(told["key"].encode(), None)
        self.theirs = x509.load_pem_x509_certificate(told["their_certificate"].encode())
        self.local = AS4InternalParty(
            identity=AS4PartyIdentity(party_id=told["party"]),
            credentials=AS4InternalCredentials(certificate=self.certificate, private_key=AS4LocalPrivateKey(key)),
        )
        self.remote = AS4ExternalParty(
            identity=AS4PartyIdentity(party_id=told["their_party"]),
            credentials=AS4BaseCredentials(certificate=self.theirs),
        )
        self.exchanges: dict[str, Any] = {}
        self.policy = SecurityPolicy(encrypt_required=told["encrypt"], signer_resolver=pinned_certificates(self.theirs))

    def take(self, kind: str, body: bytes) -> tuple[dict[str, str], bytes]:
        """A message that came; its receipt, or the error."""
        exchange = AS4ReceivingExchange(profile=Profile, local_party=self.local)
        payload = MIMEHandler.payload_from_request({"Content-Type": kind, "MIME-Version": "1.0"}, body)
        context = AS4ParseContext(local_party=self.local, security_policy=self.policy)
        exchange.receive_message(Profile.parse_message(payload, context))
        message = exchange.message
        error = message.parse_error
        self.received.append({
            "id": message.message_id, "error": None if error is None else f"{type(error).__name__}: {error}",
            "conversation": message.conversation_id, "payloads": [
                base64.b64encode(held).decode() for held in message.decrypted_data.values()],
            "envelope": message.soap_envelope_xml.decode() if message.soap_envelope else "",
        })  # fmt: skip
        headers, signal = exchange.build_signal()
        return headers, signal

    def build(self, said: dict[str, Any]) -> dict[str, Any]:
        """A message for the partner, not sent yet."""
        said = {"encrypt": self.told["encrypt"], "agreement": self.told["agreement"]} | said
        references = AS4References(message_id=said["id"]) if said.get("id") else AS4References()
        exchange = AS4SendingExchange(profile=Profile, local_party=self.local, remote_party=self.remote,
                                      identifiers=references)  # fmt: skip
        headers, body = exchange.build(b"", Arguments(said))
        self.exchanges[exchange.message_id] = exchange
        return {"id": exchange.message_id, "kind": headers["Content-Type"], "body": base64.b64encode(body).decode()}

    def receipt(self, said: dict[str, Any]) -> dict[str, Any]:
        """What `as4` makes of the answer to a message."""
        exchange = self.exchanges[said["id"]]
        try:
            exchange.receive_signal(base64.b64decode(said["body"]))
        except Exception as error:
            return {"state": "failed", "why": f"{type(error).__name__}: {error}"}
        return {"state": str(exchange.state), "errors": [one.error_code for one in exchange.errors]}

    def pull_request(self, said: dict[str, Any]) -> dict[str, Any]:
        """A pull request, signed by libxmlsec1."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        id = said.get("id") or uuid4()
        info = f"<eb:Timestamp>{at}</eb:Timestamp><eb:MessageId>{id}@them</eb:MessageId>"
        unit = f'<eb:MessageInfo>{info}</eb:MessageInfo><eb:PullRequest mpc="{said["mpc"]}"/>'
        root = etree.fromstring(
            f'<S:Envelope xmlns:S="{SOAP}" xmlns:eb="{EB}" xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"><S:Header>'
            f'<eb:Messaging S:mustUnderstand="true" wsu:Id="m"><eb:SignalMessage>{unit}</eb:SignalMessage>'
            '</eb:Messaging><wsse:Security/></S:Header><S:Body wsu:Id="b"/></S:Envelope>'
        )
        signature = xmlsec.template.create(
            root, xmlsec.constants.TransformExclC14N, xmlsec.constants.TransformRsaSha256
        )
        root[0][1].append(signature)
        context = xmlsec.SignatureContext()
        for uri, node in (("#m", root[0][0]), ("#b", root[1])):
            reference = xmlsec.template.add_reference(signature, xmlsec.constants.TransformSha256, uri=uri)
            xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
            context.register_id(node, "Id", WSU)
        context.key = xmlsec.Key.from_memory(self.told["key"], xmlsec.constants.KeyDataFormatPem)
        context.sign(signature)
        return {"kind": "application/soap+xml", "body": base64.b64encode(etree.tostring(root)).decode()}

    def verified(self, said: dict[str, Any]) -> dict[str, Any]:
        """What libxmlsec1 makes of a signal's signature."""
        root = etree.fromstring(base64.b64decode(said["body"]))
        context = xmlsec.SignatureContext()
        for node in root.iter():
            if node.get(f"{{{WSU}}}Id"):
                context.register_id(node, "Id", WSU)
        context.key = xmlsec.Key.from_memory(self.told["their_certificate"], xmlsec.constants.KeyDataFormatCertPem)
        context.verify(next(root.iter("{http://www.w3.org/2000/09/xmldsig#}Signature")))
        return {"errors": [one.get("errorCode") for one in root.iter(f"{{{EB}}}Error")]}

    def pulled(self, said: dict[str, Any]) -> dict[str, Any]:
        """A message that was pulled; its receipt, not sent yet."""
        headers, signal = self.take(said["kind"], base64.b64decode(said["body"]))
        return {"kind": headers["Content-Type"], "body": base64.b64encode(signal).decode()}

    def push_back(self, said: dict[str, Any]) -> dict[str, Any]:
        """Send something to the partner from here; the answer."""
        url = urlsplit(said["url"])
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        connection.request("POST", url.path, base64.b64decode(said["body"]), {"Content-Type": said["kind"]})
        answer = connection.getresponse()
        return {"status": answer.status, "kind": answer.headers.get("Content-Type", ""),
                "body": base64.b64encode(answer.read()).decode()}  # fmt: skip

    def state(self, said: dict[str, Any]) -> dict[str, Any]:
        """What came, after the first `since`. From now on `lose` receipts do not leave, or all are sent `late`."""
        self.lost, self.late = said.get("lose", self.lost), said.get("late", self.late)
        return {"received": self.received[said.get("since", 0) :], "late": self.signals}


class Handler(BaseHTTPRequestHandler):
    """`/msh` is the access point's, everything else is for the test."""

    point: AccessPoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.path == "/msh":
                headers, answer = self.point.take(self.headers["Content-Type"], body)
                kind = headers["Content-Type"]
                if self.point.lost > 0:
                    self.point.lost -= 1
                    self.close_connection = True
                    return
                if self.point.late:
                    self.point.signals.append({"kind": kind, "body": base64.b64encode(answer).decode()})
                    answer = b""
            else:
                answer = json.dumps(getattr(self.point, self.path[1:])(json.loads(body))).encode()
                kind = "application/json"
            self.send_response(200)
        except Exception:
            answer, kind = traceback.format_exc().encode(), "text/plain"
            self.send_response(500)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *values: object) -> None:
        """Nothing is written for each call."""


if __name__ == "__main__":
    Handler.point = AccessPoint(json.loads(sys.stdin.readline()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
