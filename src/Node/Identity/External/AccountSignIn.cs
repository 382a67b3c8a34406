using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Gongzhi.Node.Identity.External;

/// <summary>Identity's own way of signing in, which also takes an account that a provider has vouched for.</summary>
internal sealed class AccountSignIn(
    UserManager<Account> users, IHttpContextAccessor contexts, IUserClaimsPrincipalFactory<Account> principals, IOptions<IdentityOptions> options,
    ILogger<SignInManager<Account>> log, IAuthenticationSchemeProvider schemes, IUserConfirmation<Account> confirmation)
    : SignInManager<Account>(users, contexts, principals, options, log, schemes, confirmation)
{
    /// <summary>As after a right password: a locked account stays locked, and a second factor is still asked for, whatever the provider asked.</summary>
    public async Task<SignInResult> ByProviderAsync(Account account) =>
        await PreSignInCheck(account).ConfigureAwait(false)
        ?? await SignInOrTwoFactorAsync(account, isPersistent: false, loginProvider: ExternalSetup.Scheme).ConfigureAwait(false);
}
