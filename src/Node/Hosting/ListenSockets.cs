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
    // Who was about to be connected is by then, and accepted; who tries in between is not answered, and refused a second later when his system asks again.
    private static readonly TimeSpan Accepting = TimeSpan.FromMilliseconds(50);

    private static readonly TimeSpan AcceptingMax = TimeSpan.FromSeconds(2);

    // A request that was on its way has come and been begun by then; the server waits for what was begun.
    private static readonly TimeSpan Arriving = TimeSpan.FromMilliseconds(200);

    // Of Linux's socket(7): a filter that every packet to the socket goes through, and to those that are accepted from it. A TCP socket's sees the packet from its TCP header on.
    private const int SocketLevel = 1, AttachFilter = 26, TcpLevel = 6, TcpInfo = 11;

    // Classic BPF, each instruction two bytes of code, where to go on when a comparison holds and when not, and four bytes of operand: takes the flags, of these SYN and ACK, and drops what has SYN alone. That is an
    // attempt to connect; the last step of one that was begun before, and whatever is sent over a connection, passes.
    private static readonly (ushort Code, byte Holds, byte HoldsNot, uint Operand)[] NoAttempts =
    [
        (0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, uint.MaxValue),
    ];

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
                TakeNoMore(socket);
            await Task.Delay(Accepting, TimeProvider.System).ConfigureAwait(false);
            // A busy machine is slow to accept.
            for (var began = TimeProvider.System.GetTimestamp(); _sockets.Any(IsAwaited) && TimeProvider.System.GetElapsedTime(began) < AcceptingMax;)
                await Task.Delay(Accepting, TimeProvider.System).ConfigureAwait(false);
        }
        foreach (var socket in _sockets)
            socket.Dispose();
        await Task.Delay(Arriving, TimeProvider.System).ConfigureAwait(false);
    }

    /// <summary>Whether somebody is connected to it that the server has not accepted yet: of a listening socket, tcpi_unacked of tcp(7)'s struct tcp_info.</summary>
    private static bool IsAwaited(Socket socket)
    {
        Span<byte> info = stackalloc byte[28];
        try
        {
            return socket.GetRawSocketOption(TcpLevel, TcpInfo, info) == info.Length && BinaryPrimitives.ReadUInt32LittleEndian(info[24..]) > 0;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Drops attempts to connect.</summary>
    private static void TakeNoMore(Socket socket)
    {
        var instructions = Marshal.AllocHGlobal(8 * NoAttempts.Length);
        try
        {
            for (var i = 0; i < NoAttempts.Length; i++)
            {
                var (code, holds, holdsNot, operand) = NoAttempts[i];
                Marshal.WriteInt64(instructions, 8 * i, unchecked((long)((ulong)operand << 32 | (ulong)holdsNot << 24 | (ulong)holds << 16 | code)));
            }
            // struct sock_fprog: how many instructions, and where.
            Span<byte> program = stackalloc byte[16];
            program.Clear();
            BinaryPrimitives.WriteUInt16LittleEndian(program, (ushort)NoAttempts.Length);
            BinaryPrimitives.WriteInt64LittleEndian(program[8..], instructions);
            socket.SetRawSocketOption(SocketLevel, AttachFilter, program);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // A system that does not allow it resets the few who come in the moment of closing.
        }
        finally
        {
            Marshal.FreeHGlobal(instructions);
        }
    }
}
