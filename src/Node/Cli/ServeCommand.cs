using System.CommandLine;
using Gongzhi.Core.Storage;
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
        var sample = new Option<bool>("--sample") { Description = "Fill an empty node with the made-up sample city and print accounts to look round with." };
        var command = new Command("serve", "Run the node.") { config, data, port, urls, world, empty, client, sample };
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
            return await RunAsync(parsed.GetValue(config), settings, parsed.GetValue(sample), cancel).ConfigureAwait(false);

            void Put(string name, string? value)
            {
                if (value is not null)
                    settings[name] = value;
            }
        });
        return command;
    }

    private static async Task<int> RunAsync(string? config, Dictionary<string, string?> settings, bool sample, CancellationToken cancel)
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
                if (sample)
                    await SampleAsync(app, address, cancel).ConfigureAwait(false);
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
        catch (Exception e) when (StorageFull.Is(e))
        {
            await Console.Error.WriteLineAsync("The disk of the data directory is full; the node cannot start until there is room.").ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
        catch (IOException e)
        {
            // An address in use, a disk that is gone.
            await Console.Error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
    }

    private static async Task SampleAsync(WebApplication app, string address, CancellationToken cancel)
    {
        var accounts = await SampleLoader.LoadAsync(app.Services, _ => { }, cancel).ConfigureAwait(false);
        if (accounts.Count == 0)
            return;
        Console.WriteLine("\nThe sample city 云川省 is made up; nobody in it is real. Accounts to look round with (also in demo-accounts.json):");
        foreach (var account in accounts)
            Console.WriteLine($"  {account.Name,-12} {account.Password}   {account.Role} of {account.Unit}");
        Console.WriteLine($"""

            Three things to try:
              1. Look at the open data:      curl {address}/api/v1/datasets
              2. Ask a question of it:       curl {address}/api/v1/query -H 'content-type: application/json' -d '{"{"}"dataset":"air-quality","purpose":"open-data","groupBy":["station"],"measures":[{"{"}"name":"readings","function":"count"{"}"}]{"}"}'
              3. Check the whole ledger:     curl -s {address}/ledger/vkey > vkey && ./gongzhi-verify log {address}/ledger/ --vkey vkey
            """);
    }
}
