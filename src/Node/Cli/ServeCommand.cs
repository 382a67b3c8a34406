using System.CommandLine;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi serve</c>: runs the node until it is told to stop.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        var config = new Option<string?>("--config") { Description = Say.In("JSON file with a section Gongzhi; see docs/contracts/configuration.md.", "含 Gongzhi 一节的 JSON 文件，见 docs/contracts/configuration.md。") };
        var data = new Option<string?>("--data") { Description = Say.In("Directory that holds everything of this world (default: data).", "存放该节点全部数据的目录（默认 data）。") };
        var port = new Option<int?>("--port") { Description = Say.In("Listen on http://localhost:N.", "监听 http://localhost:N。") };
        var urls = new Option<string?>("--urls") { Description = Say.In("Addresses to listen on, separated by semicolons (default: http://localhost:5080).", "监听地址，以分号分隔（默认 http://localhost:5080）。") };
        var world = new Option<string?>("--world") { Description = Say.In("Name of the world (default: main); fixed at the first start.", "世界名（默认 main），首次启动时确定。") };
        var empty = new Option<bool>("--empty") { Description = Say.In("Print a one-time link for the first administrator while there is none.", "还没有管理员时，打印创建首位管理员的一次性链接。") };
        var client = new Option<string?>("--bootstrap-client") { Description = Say.In("ID:SECRET of a client that may do everything, made on an empty node.", "在空节点上创建的全权客户端，写作 ID:密钥。") };
        var segments = new Option<string?>("--segments") { Description = Say.In("Where records' files are kept: a shared directory, or s3://BUCKET/PREFIX?endpoint=…; without it in the data directory.", "记录数据文件的存放处：共享目录，或 s3://桶/前缀?endpoint=…；不给出时在数据目录中。") };
        var sample = new Option<bool>("--sample") { Description = Say.In("Fill an empty node with the made-up sample city and print accounts to look round with.", "用虚构的示例城市填充空节点，并打印可供浏览的账号。") };
        var cluster = new Option<string?>("--cluster") { Description = Say.In("PostgreSQL connection string of the database that the machines of a cluster share; needs --segments.", "集群各机器共用的 PostgreSQL 数据库连接串；须同时给出 --segments。") };
        var silo = new Option<string?>("--silo-address") { Description = Say.In("Address the other machines of the cluster reach this one by (default: 127.0.0.1); others than loopback need certificates.", "集群中其他机器访问本机所用的地址（默认 127.0.0.1）；非回环地址须配证书。") };
        var command = new Verb("serve", "Run the node until it is told to stop.", "运行节点，直到被要求停止。",
            "serve --sample", "serve --empty --data /srv/gongzhi", "serve --data try --bootstrap-client demo:change-me-please --port 5081")
        {
            config, data, port, urls, world, segments, empty, client, sample, cluster, silo,
        };
        port.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int?>() is < 0 or > 65_535)
                result.AddError(Say.In("--port must be between 0 and 65535.", "--port 须在 0 到 65535 之间。"));
        });
        command.SetAction(async (parsed, cancel) =>
        {
            var settings = new Dictionary<string, string?>();
            Put(nameof(NodeOptions.Data), parsed.GetValue(data));
            Put(nameof(NodeOptions.Urls), parsed.GetValue(urls) ?? (parsed.GetValue(port) is { } n
                ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"http://localhost:{n}") : null));
            Put(nameof(NodeOptions.World), parsed.GetValue(world));
            Put(nameof(NodeOptions.Segments), parsed.GetValue(segments));
            Put(nameof(NodeOptions.BootstrapClient), parsed.GetValue(client));
            Put(nameof(NodeOptions.Cluster), parsed.GetValue(cluster));
            Put(nameof(NodeOptions.SiloAddress), parsed.GetValue(silo));
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
                ServiceNotice.Send(ServiceNotice.Ready);
                app.Lifetime.ApplicationStopping.Register(() => ServiceNotice.SendStopping(Draining.Longest(options)));
                if (NodeHost.FirstAdministratorSecret(app, options) is { } secret)
                    Console.WriteLine($"Create the first administrator within an hour: {address.TrimEnd('/')}/account/setup?token={secret}");
                else if (app.Services.GetRequiredService<Gongzhi.Core.Parties.PartyDirectory>().MissingAdministrators() is { Count: > 0 and < 3 } missing)
                    Console.WriteLine($"Not set up yet: nobody is {string.Join(" or ", missing)}. See docs/guide/operator.md, \"Three administrators\".");
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
        catch (Exception e) when (Damage.Is(e))
        {
            await Console.Error.WriteLineAsync(Damage.Sentence(e)).ConfigureAwait(false);
            return ExitCode.Damaged;
        }
        catch (StartRefusedException e)
        {
            await Console.Error.WriteLineAsync(Say.In(e.Message, "节点不能启动：" + e.Message)).ConfigureAwait(false);
            return ExitCode.Refused;
        }
        catch (Exception e) when (StorageFull.Is(e))
        {
            await Console.Error.WriteLineAsync(Say.In("The disk of the data directory is full; the node cannot start until there is room.", "数据目录所在磁盘已满；腾出空间后节点才能启动。")).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
        catch (Exception e) when (e is Orleans.Runtime.OrleansException or Orleans.Runtime.OrleansLifecycleCanceledException)
        {
            await Console.Error.WriteLineAsync(Say.In($"The node could not join its cluster: {e.Message}", "节点未能加入集群：" + e.Message)).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
        catch (IOException e)
        {
            // An address in use, a disk that is gone.
            await Console.Error.WriteLineAsync(Say.In(e.Message, "节点无法启动：" + e.Message)).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
        catch (Exception e) when (e is StoreUnavailableException or TimeoutException || StoreFaults.IsUnavailable(e))
        {
            // A database that is away for a moment, or that another machine holds up: a further start may find it.
            await Console.Error.WriteLineAsync(Say.In($"The node cannot start while its database does not answer: {e.GetBaseException().Message}", "节点无法启动，数据库没有应答：" + e.GetBaseException().Message)).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
    }

    private static async Task SampleAsync(WebApplication app, string address, CancellationToken cancel)
    {
        var accounts = await SampleCommand.LoadAsync(app.Services, json: false, cancel).ConfigureAwait(false);
        if (accounts.Count == 0)
            return;
        SampleCommand.PrintAccounts(accounts);
        Console.WriteLine($"""

            Three things to try:
              1. Look at the open data:      curl {address}/api/v1/datasets
              2. Ask a question of it:       curl {address}/api/v1/query -H 'content-type: application/json' -d '{"{"}"dataset":"air-quality","purpose":"open-data","groupBy":["station"],"measures":[{"{"}"name":"readings","function":"count"{"}"}]{"}"}'
              3. Check the whole ledger:     curl -s {address}/ledger/vkey > vkey && ./gongzhi-verify log {address}/ledger/ --vkey vkey
            """);
    }
}
