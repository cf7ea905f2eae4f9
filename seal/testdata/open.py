#!/usr/bin/python3
"""Opens a call file of Linekeeper with the key and docs/format-call.md alone: open.py KEYS CALL.lkc MEDIA

KEYS holds secret keys (AGE-SECRET-KEY-1...), one a line; it is not read for a call in clear. The media goes to MEDIA,
what else the file says to the standard output, as JSON. Needs python3-cryptography and nothing of Linekeeper.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER, KEY, CHUNK, MARK, END, HOLE, GAP = range(1, 8)


class Damaged(Exception):
    pass


def check(holds, why):
    if not holds:
        raise Damaged(why)


# The secret key: Bech32 (BIP 173) of 32 bytes.

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def polymod(values):
    check_sum = 1
    for value in values:
        top = check_sum >> 25
        check_sum = (check_sum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check_sum ^= generator if top >> i & 1 else 0
    return check_sum


def secret_key(text):
    prefix, _, data = text.lower().rpartition("1")
    check(prefix == "age-secret-key-", "not a secret key")
    values = [ALPHABET.index(c) for c in data]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check(polymod(expanded + values) == 1, "the key is mistyped")
    bits = "".join(f"{v:05b}" for v in values[:-6])
    return bytes(int(bits[i : i + 8], 2) for i in range(0, 256, 8))


# The key record: an age file (age-encryption.org/v1) with X25519 recipients.


def unpadded(text):
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def hkdf(secret, salt, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(secret)


def raw(public):
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def unwrap(body, keys):
    """The call key, or None where none of the keys fits."""
    end = body.index(b"\n--- ") + len(b"\n---")
    mac, payload = body[end + 1 :].split(b"\n", 1)
    lines = body[:end].split(b"\n")
    check(lines[0] == b"age-encryption.org/v1", "the key record is not an age file")
    for i, line in enumerate(lines):
        if not line.startswith(b"-> X25519 "):
            continue
        share, wrapped = unpadded(line.split(b" ")[2]), unpadded(lines[i + 1])
        for key in keys:
            mine = X25519PrivateKey.from_private_bytes(key)
            shared = mine.exchange(X25519PublicKey.from_public_bytes(share))
            wrapping = hkdf(shared, share + raw(mine.public_key()), b"age-encryption.org/v1/X25519")
            try:
                file_key = ChaCha20Poly1305(wrapping).decrypt(bytes(12), wrapped, None)
            except InvalidTag:
                continue  # for somebody else
            wanted = hmac.new(hkdf(file_key, b"", b"header"), body[:end], hashlib.sha256).digest()
            check(hmac.compare_digest(wanted, unpadded(mac)), "the key record is altered")
            stream = hkdf(file_key, payload[:16], b"payload")
            return ChaCha20Poly1305(stream).decrypt(bytes(11) + b"\x01", payload[16:], None)
    return None


def records(data):
    """Each record: kind, number, position, frames, head, body."""
    at = 0
    while at < len(data):
        head = data[at : at + 24]
        check(len(head) == 24, "the file stops in a head")
        kind, version, reserved, number, position, frames, length = struct.unpack("<BBHIQII", head)
        check(version == 1, f"version {version}")
        check(HEADER <= kind <= GAP and reserved == 0 and length <= 1 << 20, f"no record at byte {at}")
        body = data[at + 24 : at + 24 + length]
        check(len(body) == length, "the file stops in a record")
        yield at, kind, number, position, frames, head, body
        at += 24 + length


def open_call(data, keys, media):
    found = {"marks": [], "holes": [], "sha256": hashlib.sha256(data).hexdigest()}
    aead, chain, expected, covered, header_hash = None, b"", 0, 0, b""
    for at, kind, number, position, frames, head, body in records(data):
        check(number == expected and "end" not in found, f"record {number} in the place of {expected}")
        check((kind == HEADER) == (number == 0), "the header is first, and only first")
        expected = number + (frames if kind == HOLE else 1)
        record_hash = hashlib.sha256(head + body).digest()
        chain = hashlib.sha256(chain + record_hash).digest() if chain else record_hash
        if kind in (CHUNK, MARK) and found["header"]["seal"] == "chacha20poly1305":
            check(aead, "the key record is missing")
            nonce = struct.pack("<I", number) + bytes(8)
            body = aead.decrypt(nonce, body, header_hash + head)
        if kind == HEADER:
            found["header"], header_hash = json.loads(body), record_hash
        elif kind == KEY:
            key = unwrap(body, keys)
            check(key, "none of the keys opens this call")
            aead = ChaCha20Poly1305(key)
        elif kind == CHUNK:
            check(position == covered or found["holes"], f"chunk at frame {position}, want {covered}")
            covered = position + frames
            media.write(body)
        elif kind == MARK:
            found["marks"].append(json.loads(body))
        elif kind == GAP:
            gap = json.loads(body)
            found["marks"].append({"kind": "gap", "position": gap["position"], "frames": gap["frames"], "value": gap["cause"]})
        elif kind == HOLE:
            found["holes"].append({"record": number, "records": frames, "offset": at, "size": 24 + len(body)})
        else:
            found["end"] = json.loads(body)
            check(found["end"]["records"] == number + 1, "records are missing")
            check(found["end"]["frames"] == covered or found["holes"], "frames are missing")
    check("end" in found, "the call is not whole: it has no end")
    found["chain"] = chain.hex()
    return found


def main():
    _, keys, name, media = sys.argv
    with open(keys, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    secrets = [secret_key(line) for line in lines if line and not line.startswith("#")]
    with open(name, "rb") as file:
        data = file.read()
    with open(media, "wb") as out:
        try:
            json.dump(open_call(data, secrets, out), sys.stdout)
        except (Damaged, InvalidTag, ValueError, KeyError) as why:
            sys.exit(f"open {name}: {str(why) or 'a record is not what was sealed'}")


if __name__ == "__main__":
    main()
