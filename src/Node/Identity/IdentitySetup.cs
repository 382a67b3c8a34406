using System.Globalization;
using System.Security.Claims;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity.External;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Identity.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Node.Identity;

internal static class IdentitySetup
{
    /// <summary>The scheme that picks token or session for each request.</summary>
    public const string AnyScheme = "gongzhi";

    private const string EndsAt = "gz.ends", OpenedSuspended = "gz.suspended";

    public static void AddNodeIdentity(this IServiceCollection services, NodeOptions options, World world)
    {
        services.AddSingleton<IModelPart, IdentityModel>();
        services.AddSingleton<IModelPart, ExternalIdentityModel>();
        services.AddSingleton<ExternalIdentities>();
        var protection = services.AddDataProtection().SetApplicationName("gongzhi/" + world.Name);
        if (world.Secret is null)
            protection.PersistKeysToFileSystem(new DirectoryInfo(world.KeyDirectory));
        else
            services.Configure<Microsoft.AspNetCore.DataProtection.KeyManagement.KeyManagementOptions>(o => o.XmlRepository = new SharedKeyRing(world));

        var authentication = services.AddAuthentication(o =>
            {
                o.DefaultScheme = AnyScheme;
                o.DefaultSignInScheme = IdentityConstants.ExternalScheme;
            })
            .AddPolicyScheme(AnyScheme, null, o => o.ForwardDefaultSelector = TokenSetup.SchemeFor);
        authentication.AddIdentityCookies();
        authentication.AddExternalSignIn(options, world);
        ConfigureCookies(services, options, world);

        services.AddIdentityCore<Account>(o =>
            {
                o.Stores.SchemaVersion = IdentitySchemaVersions.Version3;
                // Length beats composition rules (NIST SP 800-63B 5.1.1.2); PasswordRules refuses the well-known ones.
                o.Password.RequiredLength = PasswordRules.LengthMin;
                o.Password.RequireDigit = false;
                o.Password.RequireLowercase = false;
                o.Password.RequireUppercase = false;
                o.Password.RequireNonAlphanumeric = false;
                o.Password.RequiredUniqueChars = 1;
                o.Lockout.MaxFailedAccessAttempts = options.LockoutAttempts;
                o.Lockout.DefaultLockoutTimeSpan = TimeSpan.FromMinutes(options.LockoutMinutes);
                o.User.AllowedUserNameCharacters = "";
                o.ClaimsIdentity.UserIdClaimType = Claims.Subject;
                o.ClaimsIdentity.UserNameClaimType = Claims.Name;
                o.ClaimsIdentity.RoleClaimType = PartyClaims.Role;
            })
            .AddSignInManager<AccountSignIn>()
            .AddPasswordValidator<PasswordRules>()
            .AddErrorDescriber<PasswordErrors>()
            .AddClaimsPrincipalFactory<AccountPrincipals>()
            .AddDefaultTokenProviders();
        services.AddScoped<IUserStore<Account>>(provider =>
            new UserOnlyStore<Account, NodeDb, string>(provider.GetRequiredService<NodeDb>(), provider.GetService<IdentityErrorDescriber>()));
        // OWASP's number for PBKDF2-HMAC-SHA512.
        services.Configure<PasswordHasherOptions>(o => o.IterationCount = 210_000);
        services.Configure<DataProtectionTokenProviderOptions>(o => o.TokenLifespan = AccountAdministration.InvitationLife);
        services.Configure<SecurityStampValidatorOptions>(o => o.ValidationInterval = TimeSpan.FromMinutes(1));
        services.Configure<IdentityPasskeyOptions>(o =>
        {
            o.UserVerificationRequirement = "required";
            o.ResidentKeyRequirement = "preferred";
            if (options.PublicUrl is not null)
                o.ServerDomain = new Uri(options.PublicUrl).Host;
        });
        services.AddSingleton<FirstAdministrator>();
        services.AddAntiforgery(o =>
        {
            o.Cookie.Name = world.CookieName("form");
            o.Cookie.SameSite = SameSiteMode.Strict;
            o.HeaderName = "X-Form-Token";
            o.FormFieldName = "__form";
            o.SuppressXFrameOptionsHeader = true;
        });
    }

    private static void ConfigureCookies(IServiceCollection services, NodeOptions options, World world)
    {
        services.ConfigureApplicationCookie(o =>
        {
            o.Cookie.Name = world.CookieName("session");
            o.ExpireTimeSpan = TimeSpan.FromMinutes(options.SessionIdleMinutes);
            o.SlidingExpiration = true;
            o.LoginPath = "/account/sign-in";
            o.ReturnUrlParameter = "returnUrl";
            Common(o);
            o.Events.OnRedirectToLogin = context => Answer(context, StatusCodes.Status401Unauthorized);
            o.Events.OnRedirectToAccessDenied = context => Answer(context, StatusCodes.Status403Forbidden);
            o.Events.OnSigningIn = context =>
            {
                // The absolute end is set once; renewals keep the properties and so the end.
                var now = context.HttpContext.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow();
                context.Properties.Items.TryAdd(EndsAt, now.AddHours(options.SessionHours).ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture));
                if (PartyOf(context.HttpContext, context.Principal) is { Suspended: true })
                    context.Properties.Items.TryAdd(OpenedSuspended, "1");
                return Task.CompletedTask;
            };
            o.Events.OnValidatePrincipal = async context =>
            {
                var now = context.HttpContext.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow();
                if (!context.Properties.Items.TryGetValue(EndsAt, out var text)
                    || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var ends) || now.ToUnixTimeSeconds() >= ends
                    // Whoever used a link signs in again after the confirmation: the stamp that ends his session is looked at only once a minute.
                    || (context.Properties.Items.ContainsKey(OpenedSuspended) && PartyOf(context.HttpContext, context.Principal) is { Suspended: false }))
                {
                    context.RejectPrincipal();
                    await context.HttpContext.SignOutAsync(IdentityConstants.ApplicationScheme).ConfigureAwait(false);
                    return;
                }
                await SecurityStampValidator.ValidatePrincipalAsync(context).ConfigureAwait(false);
            };
        });
        foreach (var (scheme, purpose) in new[]
                 {
                     (IdentityConstants.ExternalScheme, "external"),
                     (IdentityConstants.TwoFactorUserIdScheme, "second"),
                     (IdentityConstants.TwoFactorRememberMeScheme, "device"),
                 })
        {
            services.Configure<CookieAuthenticationOptions>(scheme, o =>
            {
                o.Cookie.Name = world.CookieName(purpose);
                Common(o);
            });
        }
    }

    private static Party? PartyOf(HttpContext http, ClaimsPrincipal? principal) =>
        principal?.FindFirst(PartyClaims.Party)?.Value is { } party ? http.RequestServices.GetRequiredService<PartyDirectory>().Party(party) : null;

    private static void Common(CookieAuthenticationOptions o)
    {
        o.Cookie.HttpOnly = true;
        o.Cookie.SameSite = SameSiteMode.Lax;
        o.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        o.Cookie.Path = "/";
    }

    /// <summary>A person is sent to the sign-in page; a program gets the status, which the problem middleware fills.</summary>
    private static Task Answer(RedirectContext<CookieAuthenticationOptions> context, int status)
    {
        if (status == 401 && !ProblemWriting.IsMachine(context.Request))
            context.Response.Redirect(context.RedirectUri);
        else
            context.Response.StatusCode = status;
        return Task.CompletedTask;
    }
}

/// <summary>What a session says: who signed in and for which party.</summary>
internal sealed class AccountPrincipals(UserManager<Account> users, IOptions<IdentityOptions> options)
    : UserClaimsPrincipalFactory<Account>(users, options)
{
    protected override async Task<ClaimsIdentity> GenerateClaimsAsync(Account user)
    {
        var identity = await base.GenerateClaimsAsync(user).ConfigureAwait(false);
        identity.AddClaim(new Claim(PartyClaims.Party, user.PartyId));
        return identity;
    }
}

/// <summary>Refuses the passwords everybody tries first. Length is checked by Identity itself.</summary>
internal sealed class PasswordRules : IPasswordValidator<Account>
{
    public const int LengthMin = 12;

    /// <summary>PBKDF2 hashes its input first, so longer adds nothing but work for us.</summary>
    public const int LengthMax = 256;

    /// <summary>Words and runs whose repetition or continuation makes up most of the well-known long passwords.</summary>
    private static readonly string[] Common =
    [
        "password", "passw0rd", "p@ssword", "p@ssw0rd", "admin", "administrator", "welcome", "letmein", "iloveyou", "qwerty", "qwertyuiop",
        "asdfgh", "asdfghjkl", "zxcvbn", "zxcvbnm", "1q2w3e4r", "1q2w3e4r5t", "1qaz2wsx", "1qaz2wsx3edc", "qazwsx", "qazwsxedc", "q1w2e3r4",
        "q1w2e3r4t5", "abc123", "abcd1234", "a1b2c3d4", "a123456", "aa123456", "123qwe", "123456", "1234567890", "0123456789", "123123",
        "112233", "123321", "654321", "987654321", "5201314", "woaini", "woaini1314", "147258369", "159357", "789456123", "monkey", "dragon",
        "football", "baseball", "superman", "sunshine", "princess", "master", "trustno1", "changeme", "secret", "default", "root", "toor",
        "test", "guest", "login", "gongzhi", "zhengfu", "government", "china", "beijing", "abcdefgh", "abcdefghijkl", "mima", "wodemima",
    ];

    public Task<IdentityResult> ValidateAsync(UserManager<Account> manager, Account user, string? password)
    {
        var given = password ?? "";
        if (given.Length > LengthMax)
            return Refuse("PasswordTooLong", $"A password may have at most {LengthMax} characters.", $"密码最多 {LengthMax} 个字符。");
        var name = user.UserName ?? "";
        if (IsCommon(given) || (name.Length >= 4 && Rest(given, name).Length < 6))
            return Refuse("PasswordCommon", "This password is among the first that others would try.", "此密码过于常见，容易被猜中。");
        return Task.FromResult(IdentityResult.Success);
    }

    /// <summary>Whether a password is a common word or run, repeated or joined, with little else added.</summary>
    internal static bool IsCommon(string password)
    {
        var text = password.ToLowerInvariant();
        if (text.Distinct().Count() <= 3)
            return true;
        var steps = text.Zip(text.Skip(1), (a, b) => b - a).ToList();
        if (steps.Count(s => s is 1 or -1 or 0) >= steps.Count - 2)
            return true;
        var rest = text;
        foreach (var word in Common.OrderByDescending(w => w.Length))
            rest = Rest(rest, word);
        // What is left once digits and marks at the ends are gone decides: "Password2026!!" leaves nothing.
        return rest.Trim("0123456789!@#$%^&*._-+?~ ".ToCharArray()).Length < 4 && rest.Length < text.Length;
    }

    private static string Rest(string text, string word) => text.Replace(word, "", StringComparison.OrdinalIgnoreCase);

    private static Task<IdentityResult> Refuse(string code, string english, string chinese) =>
        Task.FromResult(IdentityResult.Failed(PasswordErrors.Error(code, english, chinese)));
}
