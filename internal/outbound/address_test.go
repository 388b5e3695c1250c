package outbound_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-chat/parley/internal/outbound"
)

func mustGuard(tb testing.TB, c outbound.Config) *outbound.Guard {
	tb.Helper()
	g, err := outbound.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(g.Close)
	return g
}

func allows(g *outbound.Guard, a netip.Addr) bool {
	return g.Check("https://"+netip.AddrPortFrom(a, 443).String()) == nil
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	g := mustGuard(t, outbound.Config{})
	for text, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "9.255.255.255": true, "11.0.0.0": true, "100.63.255.255": true, "100.128.0.0": true,
		"126.255.255.255": true, "128.0.0.1": true, "172.15.255.255": true, "172.32.0.0": true, "192.0.1.0": true,
		"192.167.255.255": true, "192.169.0.0": true, "198.17.255.255": true, "198.20.0.0": true, "223.255.255.255": true,
		"168.63.129.15": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.0": false, "10.255.255.255": false, "100.64.0.0": false,
		"100.100.100.200": false, "100.127.255.255": false, "127.0.0.1": false, "127.255.255.255": false,
		"168.63.129.16": false, "169.254.0.0": false, "169.254.169.254": false, "172.16.0.0": false, "172.31.255.255": false,
		"192.0.0.192": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.0.0": false, "192.168.255.255": false,
		"198.18.0.0": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false,
		"239.255.255.255": false, "240.0.0.0": false, "255.255.255.255": false,

		"2001:4860:4860::8888": true, "2606:4700:4700::1111": true, "2a00::1": true, "2001:200::1": true, "3ffe::1": true,
		"64:ff9b::8.8.8.8": true, "::ffff:8.8.8.8": true,

		"::": false, "::1": false, "::127.0.0.1": false, "::8.8.8.8": false, "::ffff:0:8.8.8.8": false, "100::1": false,
		"64:ff9b::10.0.0.1": false, "64:ff9b::169.254.169.254": false, "64:ff9b:1::8.8.8.8": false,
		"2001::1": false, "2001:0:4136:e378:8000:63bf:3fff:fdd2": false, "2001:2::1": false, "2001:20::1": false,
		"2001:db8::1": false, "2002:7f00:1::1": false, "2002:808:808::1": false, "3fff::1": false, "5f00::1": false,
		"fc00::1": false, "fd00:ec2::254": false, "fd20:ce::254": false, "fe80::1": false, "fe80::1%25eth0": false,
		"2606:4700:4700::1111%25eth0": false, "fec0::1": false, "ff02::1": false, "4000::1": false,
	} {
		host := text
		if a, err := netip.ParseAddr(text); err != nil || a.Is6() {
			host = "[" + text + "]"
		}
		if err := g.Check("https://" + host + "/"); (err == nil) != want {
			t.Errorf("%s: %v, want allowed = %t", text, err, want)
		}
	}
}

// private is drawn from outside the code's own list: the ranges that every network uses for itself.
var private = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "224.0.0.0/4"}

// No way to write an address of a private network leads there.
func TestPrivateAddressesInEveryForm(t *testing.T) {
	t.Parallel()
	g := mustGuard(t, outbound.Config{})
	rapid.Check(t, func(t *rapid.T) {
		net := netip.MustParsePrefix(rapid.SampledFrom(private).Draw(t, "network"))
		first := net.Addr().As4()
		var b [4]byte
		host := rapid.Uint32().Draw(t, "host") >> net.Bits()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(first[:])|host)
		for _, before := range []string{
			"::ffff:0:0",                 // mapped
			"::",                         // compatible
			"::ffff:0:0:0",               // translated
			"64:ff9b::",                  // NAT64
			"64:ff9b:1::",                // NAT64, local
			"2001:0:4136:e378:8000:63bf", // Teredo, whoever it hides
		} {
			wrapped := netip.MustParseAddr(pad(before)).As16()
			copy(wrapped[12:], b[:])
			if a := netip.AddrFrom16(wrapped); allows(g, a) {
				t.Errorf("%s is allowed", a)
			}
		}
		sixToFour := [16]byte{0x20, 0x02, b[0], b[1], b[2], b[3], 15: 1}
		for _, a := range []netip.Addr{netip.AddrFrom4(b), netip.AddrFrom16(sixToFour)} {
			if allows(g, a) {
				t.Errorf("%s is allowed", a)
			}
		}
	})
}

// pad makes an address of a prefix.
func pad(text string) string {
	if _, err := netip.ParseAddr(text); err != nil {
		return text + "::"
	}
	return text
}

func TestAllowedNetworks(t *testing.T) {
	t.Parallel()
	g := mustGuard(t, outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/48")}})
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "fd00:1::5": true, "8.8.8.8": true,
		"10.2.0.0": false, "fd00:2::1": false, "127.0.0.1": false,
	} {
		if a := netip.MustParseAddr(text); allows(g, a) != want {
			t.Errorf("%s: want allowed = %t", text, want)
		}
	}
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		if _, err := outbound.New(outbound.Config{Allow: []netip.Prefix{p}}); err == nil {
			t.Errorf("%s is taken", p)
		}
	}
}
