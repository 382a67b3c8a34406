using System.Net;
using System.Net.Sockets;

namespace Gongzhi.Capabilities.Http;

/// <summary>What stands for one reader without an account where shares are counted.</summary>
public static class ReaderAddress
{
    /// <summary>The address; of an IPv6 address its first 64 bits, since one household has all that begin so. <c>local</c> where there is none.</summary>
    public static string Of(HttpContext http) => Of(http.Connection.RemoteIpAddress);

    internal static string Of(IPAddress? address)
    {
        if (address is null)
            return "local";
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        if (address.AddressFamily != AddressFamily.InterNetworkV6 || IPAddress.IsLoopback(address))
            return address.ToString();
        var bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return new IPAddress(bytes) + "/64";
    }
}
