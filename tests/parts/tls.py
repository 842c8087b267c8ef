"""A TLS end on loopback before a server of the Postgres wire that speaks none, until standard input ends. Prints {"port": ..,
"ca": ..}: the certificate of the authority that signed its own.

usage: tls.py PORT FOLDER
"""

import datetime
import json
import socket
import ssl
import sys
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def certificate(subject, issuer, public, signer, *extensions):
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256())


def context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for localhost, and the authority's certificate."""
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("an authority", "an authority", authority.public_key(), authority, (x509.BasicConstraints(True, 0), True))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    leaf = certificate("localhost", "an authority", own.public_key(), authority, (names, False), (usage, False))
    pem = serialization.Encoding.PEM
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "own.pem").write_bytes(key + leaf.public_bytes(pem))
    (folder / "ca.pem").write_bytes(root.public_bytes(pem))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "own.pem")
    return made, folder / "ca.pem"


def pump(source, target) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
    except OSError:
        pass
    finally:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(plain, made: ssl.SSLContext, port: int) -> None:
    # What asks for TLS: a length and a number that is no version.
    if plain.recv(8) != bytes([0, 0, 0, 8, 4, 210, 22, 47]):
        return plain.close()
    plain.sendall(b"S")
    try:
        secured = made.wrap_socket(plain, server_side=True)
    except (ssl.SSLError, OSError):
        return plain.close()
    behind = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=pump, args=(behind, secured), daemon=True).start()
    pump(secured, behind)


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    made, ca = context(folder)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0], made, port), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1], "ca": str(ca)}), flush=True)
    sys.stdin.read()


main()
