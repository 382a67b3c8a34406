using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Tokens;
using OpenIddict.Abstractions;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Node.Cli;

/// <summary>
/// <c>gongzhi admin client</c>: programs that sign in with an id and a secret, made on the data directory of a stopped node. A client has no role
/// until a security administrator gives its party one.
/// </summary>
internal static partial class ClientVerbs
{
    /// <summary>The author of what is done on a stopped node: whoever holds the data directory.</summary>
    private const string Operator = PartyDirectory.Operator;

    public static Command Create(AdminCall call) => new Verb("client", "Programs that sign in with an id and a secret; on a stopped node.", "以编号和密钥登录的程序；在停止的节点上操作。")
    {
        CreateOne(call), List(call), Disable(call),
    };

    private static Verb CreateOne(AdminCall call)
    {
        var (id, data) = (Id(), Data());
        var redirect = new Option<string[]>("--redirect-uri")
        {
            Description = Say.In("Where people come back to after signing in through this client; may be repeated. https, or http on this machine, compared exactly.", "人员经此客户端登录后返回的地址，可重复给出；须为 https 或本机的 http，逐字比对。"),
        };
        var isPublic = new Option<bool>("--public") { Description = Say.In("It cannot keep a secret: it gets none, and only signs people in (PKCE).", "无法保管密钥的客户端：不发密钥，只用于人员登录（PKCE）。") };
        var create = new Verb("create", "Create a client and print its secret, which is shown this once; then give its party client:ID a role.", "新建客户端并打印其密钥（仅此一次）；之后为其主体 client:ID 授予角色。",
            "admin client create collector --data /srv/gongzhi",
            "admin client create desk --data /srv/gongzhi --redirect-uri https://desk.example.org/back --public") { id, data, redirect, isPublic };
        create.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var name = parsed.GetValue(id)!;
            if (!Form().IsMatch(name))
                throw new CliException(ExitCode.Usage, Say.In("A client's id is a lower-case letter, then up to 47 letters, digits and hyphens.", "客户端编号以小写字母开头，后接至多 47 个小写字母、数字或连字符。"));
            var redirectUris = parsed.GetValue(redirect) ?? [];
            if (ClientRegistration.Fault(redirectUris, parsed.GetValue(isPublic)) is var (english, chinese))
                throw new CliException(ExitCode.Usage, Say.In(english, chinese));
            var secret = parsed.GetValue(isPublic) ? null : RandomNumberGenerator.GetString("abcdefghjkmnpqrstuvwxyz23456789", 32);
            await OnClientsAsync(parsed.GetValue(data)!, async (clients, services) =>
            {
                if (await clients.FindByClientIdAsync(name, cancel).ConfigureAwait(false) is not null)
                    throw new CliException(ExitCode.Refused, Say.In($"There is a client {name} already.", $"已有客户端 {name}。"));
                var party = "client:" + name;
                // A party that is there already, of a client whose making broke off or that has been deleted, is renewed: whoever holds the files answers for the secret, and nobody confirms it.
                var renewal = await services.GetRequiredService<NodeWriter>().ChangeAsync((db, _) =>
                {
                    db.Audit = new AuditContext(Operator, services.GetRequiredService<TimeProvider>().GetUtcNow(), "create client");
                    if (db.Set<Party>().Find(party) is not { } who)
                    {
                        db.Add(new Party { Id = party, Kind = PartyKind.Client, DisplayName = name });
                        return 0;
                    }
                    who.Suspended = false;
                    return ++who.Renewals;
                }, cancel).ConfigureAwait(false);
                await clients.CreateAsync(ClientRegistration.Describe(name, name, secret, redirectUris, renewal), cancel).ConfigureAwait(false);
            }, cancel).ConfigureAwait(false);
            Console.WriteLine(parsed.GetValue(call.Json) ? JsonSerializer.Serialize(new { id = name, secret, party = "client:" + name }) : secret is null ? name : $"{name}:{secret}");
            return ExitCode.Ok;
        }));
        return create;
    }

    private static Verb List(AdminCall call)
    {
        var data = Data();
        var list = new Verb("list", "List the clients: id, may sign in.", "列出客户端：编号、能否登录。", "admin client list --data /srv/gongzhi") { data };
        list.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var found = new List<(string Id, bool Enabled)>();
            await OnClientsAsync(parsed.GetValue(data)!, async (clients, _) =>
            {
                await foreach (var client in clients.ListAsync(cancellationToken: cancel).ConfigureAwait(false))
                    found.Add(((await clients.GetClientIdAsync(client, cancel).ConfigureAwait(false))!, await clients.HasPermissionAsync(client, Permissions.Endpoints.Token, cancel).ConfigureAwait(false)));
            }, cancel).ConfigureAwait(false);
            found.Sort();
            Console.WriteLine(parsed.GetValue(call.Json)
                ? JsonSerializer.Serialize(new { clients = found.Select(c => new { id = c.Id, enabled = c.Enabled }) })
                : string.Join(Environment.NewLine, found.Select(c => $"{c.Id}\t{c.Enabled}")));
            return ExitCode.Ok;
        }));
        return list;
    }

    private static Verb Disable(AdminCall call)
    {
        var (id, data) = (Id(), Data());
        var disable = new Verb("disable", "Stop a client from signing in, for good; access tokens it holds end within minutes.", "永久禁止客户端登录；其已有令牌在数分钟内失效。",
            "admin client disable collector --data /srv/gongzhi") { id, data };
        disable.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var name = parsed.GetValue(id)!;
            await OnClientsAsync(parsed.GetValue(data)!, async (clients, _) =>
            {
                var client = await clients.FindByClientIdAsync(name, cancel).ConfigureAwait(false)
                    ?? throw new CliException(ExitCode.Refused, Say.In($"There is no client {name}.", $"没有客户端 {name}。"));
                var descriptor = new OpenIddictApplicationDescriptor();
                await clients.PopulateAsync(descriptor, client, cancel).ConfigureAwait(false);
                descriptor.Permissions.Clear();
                await clients.UpdateAsync(client, descriptor, cancel).ConfigureAwait(false);
            }, cancel).ConfigureAwait(false);
            Console.WriteLine(parsed.GetValue(call.Json) ? JsonSerializer.Serialize(new { id = name, enabled = false }) : Say.In($"{name} can no longer sign in.", $"{name} 不能再登录。"));
            return ExitCode.Ok;
        }));
        return disable;
    }

    private static Task<bool> OnClientsAsync(string data, Func<IOpenIddictApplicationManager, IServiceProvider, Task> work, CancellationToken cancel) =>
        StoppedNode.RunAsync(StoppedNode.Existing(data), async services =>
        {
            var scope = services.CreateAsyncScope();
            await using (scope.ConfigureAwait(false))
                await work(scope.ServiceProvider.GetRequiredService<IOpenIddictApplicationManager>(), scope.ServiceProvider).ConfigureAwait(false);
            return true;
        }, cancel);

    private static Argument<string> Id() => new("ID") { Description = Say.In("Id of the client.", "客户端编号。") };

    internal static Option<string> Data() => new("--data") { Description = Say.In("Data directory of the node, which must be stopped.", "节点的数据目录，节点须已停止。"), Required = true };

    [GeneratedRegex("^[a-z][a-z0-9-]{0,47}$", RegexOptions.NonBacktracking)]
    private static partial Regex Form();
}
