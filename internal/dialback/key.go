package dialback

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"
)

// forever is how long a certificate is valid: who checks it looks at the key alone.
const forever = 100 * 365 * 24 * time.Hour

// newKey makes the key of one pool, which never leaves this process, and returns what runners know it by.
func newKey() (cert tls.Certificate, pin [sha256.Size]byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, pin, err
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(forever)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return cert, pin, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return cert, pin, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, sha256.Sum256(leaf.RawSubjectPublicKeyInfo), nil
}
