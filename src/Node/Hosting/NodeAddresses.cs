using System.Net;

namespace Gongzhi.Node.Hosting;

internal static class NodeAddresses
{
    /// <summary>Whether every address to listen on can be reached from this machine alone.</summary>
    public static bool AllLoopback(string urls) => urls
        .Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
        .All(url => Uri.TryCreate(url, UriKind.Absolute, out var uri) && uri.IsLoopback);

    public static IEnumerable<IPNetwork> Networks(string list)
    {
        foreach (var part in list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (IPNetwork.TryParse(part, out var network))
                yield return network;
            else if (IPAddress.TryParse(part, out var address))
                yield return new IPNetwork(address, address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? 32 : 128);
            else
                throw new StartRefusedException($"TrustedProxies: {part} is neither an address nor a network.");
        }
    }
}
