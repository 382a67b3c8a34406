using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Node.Hosting;
using OpenIddict.Abstractions;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Node.Tokens;

/// <summary>Clients a node has from its start: its own command line, and on request a first client that may do everything.</summary>
internal static class BootstrapClient
{
    /// <summary>The command line as a public client of the device flow.</summary>
    public const string CommandLine = "gongzhi-cli";

    /// <summary>Property of a client that names its party; with no party directory, its roles stand beside it.</summary>
    public const string PartyProperty = "party", RolesProperty = "roles";

    /// <summary>
    /// Properties that are kept in one write with the secret: the renewal of the party that it was made for (none: the first), and whether the client itself asked for it, so that
    /// nobody else was shown it.
    /// </summary>
    public const string RenewalProperty = "renewal", OwnProperty = "own";

    public static async Task PrepareAsync(IServiceProvider services, NodeOptions options, CancellationToken cancel)
    {
        var clients = services.GetRequiredService<IOpenIddictApplicationManager>();
        if (options.BootstrapClient is { } pair)
        {
            var colon = pair.IndexOf(':', StringComparison.Ordinal);
            await EnsureAsync(clients, services, pair[..colon], pair[(colon + 1)..], cancel).ConfigureAwait(false);
        }
        if (await clients.FindByClientIdAsync(CommandLine, cancel).ConfigureAwait(false) is null)
        {
            await clients.CreateAsync(new OpenIddictApplicationDescriptor
            {
                ClientId = CommandLine,
                ClientType = ClientTypes.Public,
                ConsentType = ConsentTypes.Implicit,
                DisplayName = "Gongzhi command line",
                Permissions =
                {
                    Permissions.Endpoints.Token, Permissions.Endpoints.DeviceAuthorization, Permissions.Endpoints.Revocation,
                    Permissions.GrantTypes.DeviceCode, Permissions.GrantTypes.RefreshToken, Permissions.Scopes.Profile,
                },
            }, cancel).ConfigureAwait(false);
        }
    }

    private static async Task EnsureAsync(
        IOpenIddictApplicationManager clients, IServiceProvider services, string id, string secret, CancellationToken cancel)
    {
        if (await clients.FindByClientIdAsync(id, cancel).ConfigureAwait(false) is { } found)
        {
            if (!await clients.ValidateClientSecretAsync(found, secret, cancel).ConfigureAwait(false))
                throw new StartRefusedException($"The client {id} already exists with another secret; start without --bootstrap-client, or give its secret.");
            return;
        }
        // Empty means: nobody can sign in yet. Otherwise a restart with this setting would be a way round the administrators.
        var accounts = services.GetRequiredService<Microsoft.AspNetCore.Identity.UserManager<Identity.Account>>();
        if (await clients.CountAsync(cancel).ConfigureAwait(false) > 0 && await OnlyCommandLine(clients, cancel).ConfigureAwait(false) is false
            || accounts.Users.Any())
            throw new StartRefusedException($"The node is not empty, so the client {id} cannot be made this way; an administrator can add it.");

        var descriptor = new OpenIddictApplicationDescriptor
        {
            ClientId = id,
            ClientSecret = secret,
            ClientType = ClientTypes.Confidential,
            ConsentType = ConsentTypes.Implicit,
            DisplayName = id,
            Permissions = { Permissions.Endpoints.Token, Permissions.GrantTypes.ClientCredentials },
        };
        var provision = services.GetService<PartyProvision>();
        var party = provision is null ? "client:" + id
            : await provision(new NewParty(id, "client", PartyClaims.AllRoles), cancel).ConfigureAwait(false);
        descriptor.Properties[PartyProperty] = JsonSerializer.SerializeToElement(party);
        descriptor.Properties[RolesProperty] = JsonSerializer.SerializeToElement(PartyClaims.AllRoles);
        await clients.CreateAsync(descriptor, cancel).ConfigureAwait(false);
    }

    private static async Task<bool> OnlyCommandLine(IOpenIddictApplicationManager clients, CancellationToken cancel) =>
        await clients.CountAsync(cancel).ConfigureAwait(false) == 1
        && await clients.FindByClientIdAsync(CommandLine, cancel).ConfigureAwait(false) is not null;
}
