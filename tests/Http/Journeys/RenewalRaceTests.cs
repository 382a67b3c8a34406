using System.Net;
using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Identity;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OpenIddict.Abstractions;
using OpenIddict.Core;
using OpenIddict.EntityFrameworkCore.Models;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>A renewal and a confirmation of the same party at the same time: one of the two is always refused where both together would let somebody else act.</summary>
[Collection("Journeys")]
public sealed class RenewalRaceTests
{
    /// <summary>What happens in the middle of a request, once each.</summary>
    private sealed class Between
    {
        public Func<Task>? BeforeToken { get; set; }
        public Func<Task>? BeforeStamp { get; set; }
        public Func<Task>? AfterStamp { get; set; }
        public Func<Task>? BeforeSecret { get; set; }

        public static async Task RunAsync(Func<Task>? step, Action forget)
        {
            forget();
            if (step is not null)
                await step();
        }
    }

    private sealed class Users(
        IUserStore<Account> store, IOptions<IdentityOptions> options, IPasswordHasher<Account> hasher, IEnumerable<IUserValidator<Account>> users, IEnumerable<IPasswordValidator<Account>> passwords,
        ILookupNormalizer names, IdentityErrorDescriber errors, IServiceProvider services, ILogger<UserManager<Account>> log, Between between)
        : UserManager<Account>(store, options, hasher, users, passwords, names, errors, services, log)
    {
        public override async Task<string> GeneratePasswordResetTokenAsync(Account user)
        {
            await Between.RunAsync(between.BeforeToken, () => between.BeforeToken = null);
            return await base.GeneratePasswordResetTokenAsync(user);
        }

        public override async Task<IdentityResult> UpdateSecurityStampAsync(Account user)
        {
            await Between.RunAsync(between.BeforeStamp, () => between.BeforeStamp = null);
            var result = await base.UpdateSecurityStampAsync(user);
            await Between.RunAsync(between.AfterStamp, () => between.AfterStamp = null);
            return result;
        }
    }

    private sealed class Clients(
        IOpenIddictApplicationCache<OpenIddictEntityFrameworkCoreApplication> cache, ILogger<OpenIddictApplicationManager<OpenIddictEntityFrameworkCoreApplication>> log,
        IOptionsMonitor<OpenIddictCoreOptions> options, IOpenIddictApplicationStore<OpenIddictEntityFrameworkCoreApplication> store, Between between)
        : OpenIddictApplicationManager<OpenIddictEntityFrameworkCoreApplication>(cache, log, options, store)
    {
        public override async ValueTask UpdateAsync(OpenIddictEntityFrameworkCoreApplication application, string? secret, CancellationToken cancellationToken = default)
        {
            await Between.RunAsync(between.BeforeSecret, () => between.BeforeSecret = null);
            await base.UpdateAsync(application, secret, cancellationToken);
        }
    }

    private static Task<TestNode> StartAsync(Between between) => TestNode.StartAsync(o => o with { BootstrapClient = null, Empty = true, SignInsPerMinute = 0 }, extend: b =>
    {
        b.Services.AddSingleton(between);
        b.Services.AddScoped<UserManager<Account>, Users>();
        b.Services.AddOpenIddict().AddCore(core => core.ReplaceApplicationManager<OpenIddictEntityFrameworkCoreApplication, Clients>());
    });

    [Fact]
    public async Task A_link_that_crosses_a_confirmation_is_not_good_for_an_acting_party()
    {
        var between = new Between();
        await using var node = await StartAsync(between);
        using var system = await EmptyNodeTests.FirstAsync(node);
        var (security, securityParty) = await EmptyNodeTests.PersonAsync(node, system, "wang");
        using var _ = security;
        await EmptyNodeTests.GiveAsync(system, securityParty, Roles.SecurityAdministrator, "node");
        var (reader, readerParty) = await EmptyNodeTests.PersonAsync(node, system, "chen");
        using var __ = reader;
        await EmptyNodeTests.GiveAsync(security, readerParty, Roles.Reader, "node");
        var parties = node.App.Services.GetRequiredService<PartyDirectory>();
        Task<HttpResponseMessage> InviteAsync() => system.PostAsync("/api/v1/accounts/chen/invitation", null);
        Task<HttpResponseMessage> ConfirmAsync() => security.PostAsync($"/api/v1/parties/{readerParty}/confirm", null);
        async Task<HttpStatusCode> UseAsync(HttpResponseMessage invited)
        {
            var link = JsonDocument.Parse(await invited.Content.ReadAsStringAsync()).RootElement;
            using var thief = node.NewClient();
            using var set = await thief.SubmitAsync("/account/invitation", ("name", "chen"), ("token", EmptyNodeTests.Parts(link).Token), ("password", TestNode.Password + "2"));
            return set.StatusCode;
        }
        using (var first = await InviteAsync())
            Assert.Equal(HttpStatusCode.OK, first.StatusCode);

        // After the confirmation ended the links that it saw, and before it is kept, another is made.
        HttpResponseMessage? late = null;
        between.AfterStamp = async () => late = await InviteAsync();
        using (var crossed = await ConfirmAsync())
            await crossed.ProblemAsync(HttpStatusCode.Conflict, "parties.renewed");
        Assert.Equal(HttpStatusCode.OK, late!.StatusCode);
        Assert.True(parties.Party(readerParty)!.Suspended);
        Assert.Equal(HttpStatusCode.Redirect, await UseAsync(late));
        Assert.Null(parties.Resolve(readerParty));
        late.Dispose();

        // The other way round: confirmed between the renewal and the link.
        HttpResponseMessage? confirmed = null;
        between.BeforeToken = async () => confirmed = await ConfirmAsync();
        using (var crossed = await InviteAsync())
            await crossed.ProblemAsync(HttpStatusCode.Conflict, "parties.renewed");
        Assert.Equal(HttpStatusCode.OK, confirmed!.StatusCode);
        Assert.NotNull(parties.Resolve(readerParty));
        confirmed.Dispose();

        // Somebody tries passwords while it is confirmed, so that the links cannot be ended.
        using (var invited = await InviteAsync())
        {
            between.BeforeStamp = async () =>
            {
                using var wrong = await node.NewClient().SignInAsync("chen", "wrong");
            };
            using (var crossed = await ConfirmAsync())
                await crossed.ProblemAsync(HttpStatusCode.Conflict, "parties.renewed");
            Assert.True(parties.Party(readerParty)!.Suspended);
            using (var again = await ConfirmAsync())
                Assert.Equal(HttpStatusCode.OK, again.StatusCode);
            Assert.Equal(HttpStatusCode.NotFound, await UseAsync(invited));
        }
    }

    [Fact]
    public async Task A_clients_secret_that_crosses_a_confirmation_or_another_is_not_good_for_an_acting_party()
    {
        var between = new Between();
        await using var node = await StartAsync(between);
        using var system = await EmptyNodeTests.FirstAsync(node);
        var (security, securityParty) = await EmptyNodeTests.PersonAsync(node, system, "wang");
        using var _ = security;
        await EmptyNodeTests.GiveAsync(system, securityParty, Roles.SecurityAdministrator, "node");
        var parties = node.App.Services.GetRequiredService<PartyDirectory>();
        using var http = node.NewClient();
        async Task<JsonElement> ReadAsync(HttpResponseMessage response)
        {
            using (response)
            {
                var text = await response.Content.ReadAsStringAsync();
                Assert.True(response.IsSuccessStatusCode, text);
                return JsonDocument.Parse(text).RootElement;
            }
        }
        async Task<string> TokenAsync(JsonElement client)
        {
            var (status, body) = await http.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", "desk"), ("client_secret", client.GetProperty("secret").GetString()!));
            Assert.True(status == HttpStatusCode.OK, body.ToString());
            return body.GetProperty("access_token").GetString()!;
        }
        async Task<HttpStatusCode> WhoAsync(string token)
        {
            using var answer = await http.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
            return answer.StatusCode;
        }
        Task<HttpResponseMessage> OwnAsync(string token) => http.SendAsync(new HttpRequestMessage(HttpMethod.Post, "/api/v1/clients/desk/secret").WithToken(token));
        Task<HttpResponseMessage> AdminAsync() => system.PostAsync("/api/v1/clients/desk/secret", null);
        Task<HttpResponseMessage> ConfirmAsync() => security.PostAsync("/api/v1/parties/client:desk/confirm", null);
        var made = await EmptyNodeTests.PostAsync(system, "/api/v1/clients", new { id = "desk" }, HttpStatusCode.Created);
        var own = await ReadAsync(await OwnAsync(await TokenAsync(made)));
        var token = await TokenAsync(own);
        Assert.Equal(HttpStatusCode.OK, await WhoAsync(token));

        // Confirmed, and the old secret used, between the renewal and the new secret.
        var during = "";
        between.BeforeSecret = async () =>
        {
            using (var crossed = await ConfirmAsync())
                await crossed.ProblemAsync(HttpStatusCode.Conflict, "clients.secretNotOwn");
            during = await TokenAsync(own);
        };
        var taken = await ReadAsync(await AdminAsync());
        Assert.True(taken.GetProperty("suspended").GetBoolean());
        foreach (var each in new[] { token, during, await TokenAsync(taken) })
            Assert.Equal(HttpStatusCode.Forbidden, await WhoAsync(each));

        // The client takes its own while the administrator takes one: the administrator's stands, suspended.
        HttpResponseMessage? over = null;
        between.BeforeSecret = async () => over = await AdminAsync();
        using (var crossed = await OwnAsync(await TokenAsync(taken)))
            await crossed.ProblemAsync(HttpStatusCode.Conflict, "parties.renewed");
        var last = await ReadAsync(over!);
        using (var early = await ConfirmAsync())
            await early.ProblemAsync(HttpStatusCode.Conflict, "clients.secretNotOwn");

        // And two that show the same token: the first has it, the second is told so. Then it is confirmed, and nothing older acts.
        var shown = await TokenAsync(last);
        HttpResponseMessage? second = null;
        between.BeforeSecret = async () => second = await OwnAsync(shown);
        var mine = await ReadAsync(await OwnAsync(shown));
        Assert.Equal(HttpStatusCode.Forbidden, second!.StatusCode);
        second.Dispose();
        using (var confirmed = await ConfirmAsync())
            Assert.Equal(HttpStatusCode.OK, confirmed.StatusCode);
        Assert.Equal(HttpStatusCode.OK, await WhoAsync(await TokenAsync(mine)));
        foreach (var each in new[] { token, during, shown })
            Assert.Equal(HttpStatusCode.Forbidden, await WhoAsync(each));
        Assert.Equal(5, parties.Party("client:desk")!.Renewals);
    }
}
