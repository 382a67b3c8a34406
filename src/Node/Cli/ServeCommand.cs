using System.CommandLine;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi serve</c>: runs the node until it is told to stop.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        var config = new Option<string?>("--config") { Description = "JSON file with a section Gongzhi; see docs/contracts/configuration.md." };
        var data = new Option<string?>("--data") { Description = "Directory that holds everything of this world (default: data)." };
        var port = new Option<int?>("--port") { Description = "Listen on http://localhost:N." };
        var urls = new Option<string?>("--urls") { Description = "Addresses to listen on, separated by semicolons (default: http://localhost:5080)." };
        var world = new Option<string?>("--world") { Description = "Name of the world (default: main); fixed at the first start." };
        var empty = new Option<bool>("--empty") { Description = "Print a one-time link for the first administrator while there is none." };
        var client = new Option<string?>("--bootstrap-client") { Description = "ID:SECRET of a client that may do everything, made on an empty node." };
        var command = new Command("serve", "Run the node.") { config, data, port, urls, world, empty, client };
        port.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int?>() is < 0 or > 65_535)
                result.AddError("--port must be between 0 and 65535.");
        });
        command.SetAction(async (parsed, cancel) =>
        {
            var settings = new Dictionary<string, string?>();
            Put(nameof(NodeOptions.Data), parsed.GetValue(data));
            Put(nameof(NodeOptions.Urls), parsed.GetValue(urls) ?? (parsed.GetValue(port) is { } n
                ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"http://localhost:{n}") : null));
            Put(nameof(NodeOptions.World), parsed.GetValue(world));
            Put(nameof(NodeOptions.BootstrapClient), parsed.GetValue(client));
            if (parsed.GetValue(empty))
                Put(nameof(NodeOptions.Empty), "true");
            return await RunAsync(parsed.GetValue(config), settings, cancel).ConfigureAwait(false);

            void Put(string name, string? value)
            {
                if (value is not null)
                    settings[name] = value;
            }
        });
        return command;
    }

    private static async Task<int> RunAsync(string? config, Dictionary<string, string?> settings, CancellationToken cancel)
    {
        try
        {
            var (options, configuration) = NodeConfiguration.Read(config, settings);
            var app = await NodeHost.BuildAsync(options, configuration, cancel: cancel).ConfigureAwait(false);
            await using (app.ConfigureAwait(false))
            {
                await app.StartAsync(cancel).ConfigureAwait(false);
                var address = options.PublicUrl ?? app.Urls.First();
                Console.WriteLine($"Gongzhi is listening on {string.Join(", ", app.Urls)} (world {options.World}, data {Path.GetFullPath(options.Data)})");
                if (NodeHost.FirstAdministratorSecret(app, options) is { } secret)
                    Console.WriteLine($"Create the first administrator within an hour: {address.TrimEnd('/')}/account/setup?token={secret}");
                await app.WaitForShutdownAsync(cancel).ConfigureAwait(false);
            }
            return ExitCode.Ok;
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Ok;
        }
        catch (StartRefusedException e)
        {
            await Console.Error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return ExitCode.Refused;
        }
        catch (IOException e)
        {
            // An address in use, a disk that is gone.
            await Console.Error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
    }
}
