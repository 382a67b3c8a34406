using System.Net;
using System.Net.Sockets;
using Gongzhi.Node.Hosting;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Options;

namespace Gongzhi.Node.Cluster;

/// <summary>
/// The address other silos reach this one by. It is taken before the silo is built, since a silo says its port to others before it listens: a free port that was only looked up could
/// be somebody else's by then.
/// </summary>
internal sealed class OpenDoor : IConnectionListenerFactory, IDisposable
{
    private readonly Socket _socket;

    private OpenDoor(Socket socket) => _socket = socket;

    public IPEndPoint Address => (IPEndPoint)_socket.LocalEndPoint!;

    /// <param name="address">An address of this machine.</param>
    /// <param name="port">0: a free one.</param>
    /// <exception cref="StartRefusedException">It is not this machine's address, or the port is taken.</exception>
    public static OpenDoor Open(IPAddress address, int port)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(address, port));
            return new OpenDoor(socket);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new StartRefusedException($"The silo cannot listen on {new IPEndPoint(address, port)} (SiloAddress, SiloPort): {e.Message}.");
        }
    }

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new SocketTransportFactory(Options.Create(new SocketTransportOptions { CreateBoundListenSocket = _ => _socket }), Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance)
            .BindAsync(endpoint, cancellationToken);

    public void Dispose() => _socket.Dispose();
}

/// <summary>
/// The door of a silo that is alone: there is none. No port is opened, so no other process of the machine can speak to the silo, whoever owns it.
/// </summary>
internal sealed class ClosedDoor : IConnectionListenerFactory
{
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => ValueTask.FromResult<IConnectionListener>(new Nobody(endpoint));

    private sealed class Nobody(EndPoint endpoint) : IConnectionListener
    {
        private readonly TaskCompletionSource<ConnectionContext?> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public EndPoint EndPoint { get; } = endpoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) => await _closed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            _closed.TrySetResult(null);
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync() => UnbindAsync();
    }
}
