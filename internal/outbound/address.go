package outbound

import (
	"net/netip"
	"slices"
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func inAny(nets []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// What is not the public internet, after IANA's registries of special-purpose addresses. Of IPv6 only global unicast is, so
// that loopback, link-local (fe80::/10), unique local (fc00::/7, and with it fd00:ec2::254 and fd20:ce::254, where clouds
// keep their metadata), site-local, multicast, IPv4-compatible (::/96), IPv4-translated (::ffff:0:0:0/96), local NAT64
// (64:ff9b:1::/48) and segment routing need no entry.
var (
	special4 = prefixes(
		"0.0.0.0/8",        // this network; unspecified
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // shared by carriers; the metadata of Alibaba Cloud
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // the platform of Azure, from within; public for nobody else
		"169.254.0.0/16",   // link-local; the metadata of most clouds
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments; the metadata of Oracle Cloud
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // relays to 6to4, withdrawn
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/3",      // multicast, reserved, broadcast
	)
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes(
		"2001::/23",     // protocol assignments: Teredo, which holds IPv4 addresses, ORCHID, benchmarks
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4, which holds an IPv4 address, withdrawn
		"3fff::/20",     // documentation
	)
	// nat64 leads to the IPv4 address in its last four bytes. It is how a host without IPv4 reaches those who have nothing else.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// inner is the address that is reached through a: IPv4 in what only wraps it.
func inner(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

func public(a netip.Addr) bool {
	if a.Is4() {
		return !inAny(special4, a)
	}
	return global6.Contains(a) && !inAny(special6, a)
}

func (g *Guard) allowsAddress(a netip.Addr) bool {
	a = inner(a)
	return public(a) || inAny(g.c.Allow, a)
}

func (g *Guard) allowsPort(port uint16) bool {
	if g.c.Ports == nil {
		return port == 80 || port == 443 || port >= 1024
	}
	return slices.Contains(g.c.Ports, port)
}
