using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// The sockets that the node listens on, so that they can be closed before the server is: whoever connects then is refused and asks another machine, while everybody who is connected is answered.
/// A server that is stopped resets connections that it has accepted and not read from yet, and the system those that wait to be accepted; a load balancer that sent a request over one cannot know whether it was
/// carried out, and does not ask elsewhere.
/// </summary>
internal sealed class ListenSockets
{
    // What was connected before has been accepted by then; who tries in between is not answered, and refused a second later when his system asks again.
    private static readonly TimeSpan Accepting = TimeSpan.FromMilliseconds(50);

    // A request that was on its way has come and been begun by then; the server waits for what was begun.
    private static readonly TimeSpan Arriving = TimeSpan.FromMilliseconds(200);

    // Of Linux's socket(7): a filter that every packet to the socket goes through.
    private const int SocketLevel = 1, AttachFilter = 26;

    private readonly ConcurrentBag<Socket> _sockets = [];

    /// <summary>Has the server listen on sockets that are known here.</summary>
    public void Use(SocketTransportOptions options) => options.CreateBoundListenSocket = at =>
    {
        var socket = SocketTransportOptions.CreateDefaultBoundListenSocket(at);
        if (socket.ProtocolType == ProtocolType.Tcp)
            _sockets.Add(socket);
        return socket;
    };

    /// <summary>Takes no more connections; returns when what was already on its way is being worked on.</summary>
    public async Task CloseAsync()
    {
        if (OperatingSystem.IsLinux())
        {
            foreach (var socket in _sockets)
                HearNothing(socket);
            await Task.Delay(Accepting, TimeProvider.System).ConfigureAwait(false);
        }
        foreach (var socket in _sockets)
            socket.Dispose();
        await Task.Delay(Arriving, TimeProvider.System).ConfigureAwait(false);
    }

    /// <summary>Drops whatever is sent to the socket itself: attempts to connect, not what is sent over connections that were taken before.</summary>
    private static void HearNothing(Socket socket)
    {
        // One instruction of classic BPF: return 0, keep nothing of the packet.
        var instruction = Marshal.AllocHGlobal(8);
        try
        {
            Marshal.WriteInt64(instruction, 0x06);
            // struct sock_fprog: how many instructions, and where.
            Span<byte> program = stackalloc byte[16];
            program.Clear();
            BinaryPrimitives.WriteUInt16LittleEndian(program, 1);
            BinaryPrimitives.WriteInt64LittleEndian(program[8..], instruction);
            socket.SetRawSocketOption(SocketLevel, AttachFilter, program);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // A system that does not allow it resets the few who come in the moment of closing.
        }
        finally
        {
            Marshal.FreeHGlobal(instruction);
        }
    }
}
