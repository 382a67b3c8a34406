using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity;
using Gongzhi.Node.Identity.External;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin account</c>: who signs in to an account at a provider; and on a stopped node the way back in for somebody locked out, the first administrator above all.</summary>
internal static class AccountVerbs
{
    public static Command Create(AdminCall call)
    {
        var name = new Argument<string>("NAME") { Description = Say.In("Name the account signs in with.", "账号的登录名。") };
        var data = ClientVerbs.Data();
        var second = new Option<bool>("--second-factor") { Description = Say.In("Also forget its one-time codes and passkeys.", "同时清除其动态验证码和通行密钥。") };
        var reset = new Verb("reset", "Give an account a new password, shown this once, and end its lockout; on a stopped node.", "为账号设置新口令（仅显示一次）并解除锁定；在停止的节点上操作。",
            "admin account reset admin --data /srv/gongzhi --second-factor") { name, data, second };
        reset.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var password = await StoppedNode.RunAsync(StoppedNode.Existing(parsed.GetValue(data)!),
                services => ResetAsync(services, parsed.GetValue(name)!, parsed.GetValue(second)), cancel).ConfigureAwait(false);
            Console.WriteLine(parsed.GetValue(call.Json) ? JsonSerializer.Serialize(new { name = parsed.GetValue(name), password }) : password);
            return ExitCode.Ok;
        }));
        return new Verb("account", "Accounts of people.", "人员账号。") { reset, Identity(call), Link(call), Unlink(call) };
    }

    private static Verb Identity(AdminCall call)
    {
        var name = Name();
        var identity = new Verb("identity", "Show who signs in to an account at the organisation's provider; the three administrators may.", "显示账号所绑定的统一身份认证身份；三员均可查看。",
            "admin account identity chen") { name };
        identity.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Get(Address(parsed.GetValue(name)!)), shown => shown.GetProperty("confirmed").GetBoolean()
            ? $"{shown.GetProperty("subject")} ({shown.GetProperty("issuer")})"
            : Say.In($"{shown.GetProperty("subject")} ({shown.GetProperty("issuer")}), not confirmed yet", $"{shown.GetProperty("subject")}（{shown.GetProperty("issuer")}），待确认"), cancel));
        return identity;
    }

    private static Verb Link(AdminCall call)
    {
        var name = Name();
        var subject = new Argument<string>("SUBJECT") { Description = Say.In("The identifier that the page showed to the person.", "页面向本人显示的标识。") };
        var link = new Verb("link", "Let somebody sign in to an account at the organisation's provider; a system administrator may, and a security administrator confirms.",
            "将账号绑定到统一身份认证身份；须为系统管理员，并由安全管理员确认。", "admin account link chen 8f1c0c52-7a40-4d0e-9a57-0d4b8c1e2f33") { name, subject };
        link.SetAction((parsed, cancel) => call.RunAsync(parsed,
            () => AdminCall.Send(HttpMethod.Put, Address(parsed.GetValue(name)!), new JsonObject { ["subject"] = parsed.GetValue(subject) }),
            linked => linked.GetProperty("suspended").GetBoolean()
                ? Say.In($"{parsed.GetValue(name)} is linked, and suspended until a security administrator confirms {linked.GetProperty("party")}.",
                    $"账号 {parsed.GetValue(name)} 已绑定，并暂停使用，待安全管理员确认 {linked.GetProperty("party")}。")
                : Say.In($"{parsed.GetValue(name)} is linked.", $"账号 {parsed.GetValue(name)} 已绑定。"), cancel));
        return link;
    }

    private static Verb Unlink(AdminCall call)
    {
        var name = Name();
        var unlink = new Verb("unlink", "End that link and the account's sessions; a system administrator may.", "解除该绑定并结束账号的会话；须为系统管理员。", "admin account unlink chen") { name };
        unlink.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Delete(Address(parsed.GetValue(name)!)),
            _ => Say.In($"Nobody signs in to {parsed.GetValue(name)} at the provider any more.", $"已无人可通过统一身份认证登录账号 {parsed.GetValue(name)}。"), cancel));
        return unlink;
    }

    private static Argument<string> Name() => new("NAME") { Description = Say.In("Name of the account.", "账号名。") };

    private static string Address(string name) => $"api/v1/accounts/{Uri.EscapeDataString(name)}/identity";

    private static async Task<string> ResetAsync(IServiceProvider services, string name, bool second)
    {
        var scope = services.CreateAsyncScope();
        await using var _ = scope.ConfigureAwait(false);
        var users = scope.ServiceProvider.GetRequiredService<UserManager<Account>>();
        var account = await users.FindByNameAsync(name).ConfigureAwait(false)
            ?? throw new CliException(ExitCode.Refused, Say.In($"There is no account {name}. Without any account, serve --empty prints a link for the first administrator.",
                $"没有账号 {name}。一个账号都没有时，serve --empty 会打印创建首位管理员的链接。"));
        // Leaves its audit entry like every renewal; and as the last way back in, it ends a suspension too.
        var renewed = await scope.ServiceProvider.GetRequiredService<PartyDirectory>().RenewStoppedAsync(account.PartyId, "reset account").ConfigureAwait(false);
        if (!renewed.Ok && renewed.Problem.Code != "parties.unknown")
            throw new CliException(ExitCode.Refused, renewed.Problem.Detail);
        var password = RandomNumberGenerator.GetString("abcdefghjkmnpqrstuvwxyz23456789", 20);
        await DemandAsync(users.RemovePasswordAsync(account)).ConfigureAwait(false);
        await DemandAsync(users.AddPasswordAsync(account, password)).ConfigureAwait(false);
        await DemandAsync(users.SetLockoutEndDateAsync(account, null)).ConfigureAwait(false);
        await DemandAsync(users.ResetAccessFailedCountAsync(account)).ConfigureAwait(false);
        if (second)
        {
            await DemandAsync(users.SetTwoFactorEnabledAsync(account, false)).ConfigureAwait(false);
            // Somebody else's identity may have been linked to it, which came no further than that factor.
            await scope.ServiceProvider.GetRequiredService<ExternalIdentities>().RemoveAsync(PartyDirectory.Operator, account, CancellationToken.None).ConfigureAwait(false);
            account = await users.FindByNameAsync(name).ConfigureAwait(false) ?? account;
            foreach (var passkey in await users.GetPasskeysAsync(account).ConfigureAwait(false))
                await DemandAsync(users.RemovePasskeyAsync(account, passkey.CredentialId)).ConfigureAwait(false);
        }
        // Sessions that were open with the old password end.
        await DemandAsync(users.UpdateSecurityStampAsync(account)).ConfigureAwait(false);
        return password;
    }

    private static async Task DemandAsync(Task<IdentityResult> change)
    {
        var result = await change.ConfigureAwait(false);
        if (!result.Succeeded)
            throw new CliException(ExitCode.Refused, string.Join(' ', result.Errors.Select(e => e.Description)));
    }
}
