"""Makes tokens.json: tokens as PyJWT (2.15, with cryptography) makes them.

The private keys are thrown away: what is here can't be signed anew, only made anew.
"""
import json
import jwt
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

ISSUED = 1_767_225_600  # 2026-01-01
YEAR = 365 * 24 * 3600
SECRET = "not a secret: sixty-four bytes that everybody can read in a file"


def pem(key):
    return key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()


def pkcs1(key):
    return key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.PKCS1).decode()


rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
weak_key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
ed_key = ed25519.Ed25519PrivateKey.generate()
made = []
for algorithm, private, public in [
    ("HS256", SECRET, SECRET), ("HS384", SECRET, SECRET), ("HS512", SECRET, SECRET),
    ("RS256", rsa_key, pem(rsa_key)), ("RS384", rsa_key, pem(rsa_key)), ("RS512", rsa_key, pkcs1(rsa_key)),
    ("EdDSA", ed_key, pem(ed_key)),
]:
    times = {"iss": "svix-server", "iat": ISSUED, "nbf": ISSUED, "exp": ISSUED + 10 * YEAR}
    made.append({
        "algorithm": algorithm, "key": public,
        "organisation": jwt.encode(times | {"sub": "org_23rb8YdGqMT0qIzpgGwdXfHirMu"}, private, algorithm),
        "application": jwt.encode(
            times | {"sub": "app_2srOrx2ZWZBpBUvZwXKQmoEYga2", "org": "org_x", "feature_flags": ["beta", "eu"]}, private, algorithm),
    })
json.dump({"tokens": made, "weak": pem(weak_key)}, open("tokens.json", "w"), indent=1)
