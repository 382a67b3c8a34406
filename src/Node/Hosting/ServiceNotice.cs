using System.Net.Sockets;
using System.Text;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// Tells whoever started the program how it stands, as sd_notify(3) has it: a datagram to the socket that <c>NOTIFY_SOCKET</c> names. With <c>Type=notify</c> a start is done when the node listens,
/// not when its process exists. Without the variable nothing is sent.
/// </summary>
internal static class ServiceNotice
{
    public const string Variable = "NOTIFY_SOCKET";
    public const string Ready = "READY=1";
    public const string Stopping = "STOPPING=1";

    /// <summary>That it stops, and how long that may take: systemd waits at least so long, whatever <c>TimeoutStopSec</c> says.</summary>
    public static void SendStopping(TimeSpan longest) => Send(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Stopping}\nEXTEND_TIMEOUT_USEC={(long)longest.TotalMicroseconds}"));

    public static void Send(string state)
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 1 } address || address[0] is not ('/' or '@'))
            return;
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            // '@' stands for the zero byte of a name that is no file.
            socket.Connect(new UnixDomainSocketEndPoint(address[0] == '@' ? "\0" + address[1..] : address));
            socket.Send(Encoding.UTF8.GetBytes(state));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            // Nobody listens: that is the starter's affair, and no reason not to serve.
        }
    }
}
