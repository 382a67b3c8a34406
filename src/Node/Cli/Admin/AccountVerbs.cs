using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin account</c>: the way back in for somebody locked out, the first administrator above all, on a stopped node.</summary>
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
        return new Verb("account", "Accounts of people.", "人员账号。") { reset };
    }

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
