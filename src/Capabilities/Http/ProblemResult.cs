using System.Diagnostics;
using System.Globalization;
using System.Resources;
using System.Text.Encodings.Web;
using System.Text.Json;
using Gongzhi.Core;

namespace Gongzhi.Capabilities.Http;

/// <summary>Problems of the host itself. Codes are listed in docs/contracts/problems.md and never change their meaning.</summary>
public static class HostProblems
{
    public static readonly Problem Internal = new("internal", 500, "Something went wrong on our side; it has been recorded.");
    public static readonly Problem StoreUnavailable = new("store.unavailable", 503, "The store cannot take changes at the moment; nothing was kept. Try again shortly.");
    public static readonly Problem StorageFull = Core.Storage.StorageFull.Problem;
    public static readonly Problem NodeStopped = new("node.stopped", 503, "The node has stopped taking changes until an operator restarts it. A change on its way just then may have been kept: repeat it with the same idempotency key.");
    public static readonly Problem ReadOnly = new("ledger.readOnly", 503, "This node takes no changes: what it stores does not continue what is known of its ledger. Its operator has to mend that first; what is public can be read.");
    public static readonly Problem Timeout = new("request.timeout", 503, "The request took longer than allowed and was ended. Try again, or ask for less.");
    public static readonly Problem SlowBody = new("request.slow", 408, "The body of the request came too slowly.");
    public static readonly Problem Malformed = new("request.malformed", 400, "The request cannot be read: its body or a parameter is not in the expected form.");
    public static readonly Problem TooLarge = new("request.too-large", 413, "The body of the request is larger than this address takes.");
    public static readonly Problem MediaType = new("request.media-type", 415, "This address does not take a body of that content type.");
    public static readonly Problem NotAcceptable = new("request.not-acceptable", 406, "The answer cannot be given in a form the request accepts.");
    public static readonly Problem Method = new("request.method", 405, "This address does not answer to that method.");
    public static readonly Problem Unknown = new("route.unknown", 404, "There is nothing at this address.");
    public static readonly Problem SignInNeeded = new("auth.required", 401, "Sign in first, or send a valid access token.");
    public static readonly Problem Denied = new("auth.denied", 403, "Your account may not do this.");
    public static readonly Problem CrossSite = new("auth.cross-site", 403, "A change was asked for from another site and was refused.");
    public static readonly Problem Antiforgery = new("auth.antiforgery", 400, "The form has expired. Load the page again and repeat.");
    public static readonly Problem RateLimited = new("rate.limited", 429, "Too many requests. Wait a little and try again.");
    public static readonly Problem SignInFailed = new("account.sign-in-failed", 401, "The name or the password is not right.");
    public static readonly Problem PasswordWrong = new("account.password-wrong", 422, "The present password is not right.");
    public static readonly Problem Locked = new("account.locked", 423, "The account is locked for a while after too many wrong attempts.");
    public static readonly Problem CodeWrong = new("account.code-wrong", 422, "The one-time code is not right.");
    public static readonly Problem PasswordRefused = new("account.password-refused", 422, "The password was refused.");
    public static readonly Problem PasskeyFailed = new("account.passkey-failed", 422, "The passkey was not accepted.");
    public static readonly Problem ProviderUnavailable = new("account.provider-unavailable", 503, "The provider at which you wanted to sign in cannot be reached at the moment. Try again shortly, or sign in another way.");
    public static readonly Problem ProviderFailed = new("account.provider-failed", 401, "The sign-in at the provider was not completed: it was given up, is too old, was used before, or its answer cannot be trusted. Start again.");
    public static readonly Problem IdentityUnlinked = new("account.identity-unlinked", 403, "You are signed in at the provider, but no account here belongs to that identity. An administrator must link it.");
    public static readonly Problem Disabled = new("account.disabled", 403, "The account is disabled.");
    public static readonly Problem Suspended = new("account.suspended", 403, "The account is suspended until a security administrator confirms it.");
    public static readonly Problem SetupClosed = new("account.setup-closed", 404, "This link is used up or has expired.");
    public static readonly Problem ConsentNeeded = new("auth.consent", 403, "This client asks for a consent that this node does not offer; an administrator must trust the client first.");

    public static IReadOnlyList<Problem> All { get; } =
    [
        Internal, StoreUnavailable, StorageFull, NodeStopped, ReadOnly, Timeout, SlowBody, Malformed, TooLarge, MediaType, NotAcceptable, Method, Unknown,
        SignInNeeded, Denied, CrossSite, Antiforgery, RateLimited, SignInFailed, PasswordWrong, Locked, CodeWrong, PasswordRefused, PasskeyFailed,
        ProviderUnavailable, ProviderFailed, IdentityUnlinked, Disabled, Suspended, SetupClosed, ConsentNeeded,
    ];

    public static Problem For(int status) => status switch
    {
        400 => Malformed,
        401 => SignInNeeded,
        403 => Denied,
        404 => Unknown,
        405 => Method,
        406 => NotAcceptable,
        408 => SlowBody,
        413 => TooLarge,
        415 => MediaType,
        429 => RateLimited,
        503 => StoreUnavailable,
        507 => StorageFull,
        >= 500 => Internal,
        _ => Malformed with { Status = status },
    };
}

/// <summary>Shows a person a page in place of a problem document; false when none could be made and nothing was written. The host offers it.</summary>
public delegate Task<bool> ProblemPage(HttpContext http, Problem problem, string detail, string reference);

/// <summary>Writes a <see cref="Problem"/> as RFC 9457 <c>application/problem+json</c> in the reader's language.</summary>
public static class ProblemWriting
{
    private static readonly ResourceManager Texts = new("Gongzhi.Capabilities.Http.Problems", typeof(ProblemWriting).Assembly);

    // Relaxed: sentences in Chinese stay readable; the content type is JSON and nosniff is set, so nothing is taken for HTML.
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The problem as an answer of an endpoint.</summary>
    public static IResult ToResult(this Problem problem) => new ProblemResult(problem);

    /// <summary>Either the value through <paramref name="ok"/>, or the problem.</summary>
    public static IResult ToResult<T>(this Result<T> result, Func<T, IResult> ok) =>
        result.Ok ? ok(result.Value) : result.Problem.ToResult();

    /// <summary>
    /// Title and sentence in the language of the request; codes without a translation keep the English sentence. What the problem itself says in that
    /// language goes before the sentence by code, and a sentence by code may carry the English reason in <c>{detail}</c>: no reader loses it.
    /// </summary>
    public static (string Title, string Detail) Translate(Problem problem, CultureInfo culture)
    {
        var title = Texts.GetString(problem.Code + ".title", culture)
            ?? Texts.GetString("status." + problem.Status.ToString(CultureInfo.InvariantCulture), culture)
            ?? Texts.GetString("status.400", culture)!;
        var detail = (culture.TwoLetterISOLanguageName == "zh" ? problem.Chinese : null) ?? Texts.GetString(problem.Code + ".detail", culture) ?? problem.Detail;
        foreach (var (name, value) in problem.Extensions)
        {
            if (value is string or int or long or decimal or double)
                detail = detail.Replace("{" + name + "}", Convert.ToString(value, CultureInfo.InvariantCulture), StringComparison.Ordinal);
        }
        return (title, detail.Replace("{detail}", problem.Detail, StringComparison.Ordinal));
    }

    public static async Task WriteAsync(HttpContext http, Problem problem)
    {
        var (title, detail) = Translate(problem, CultureInfo.CurrentUICulture);
        var reference = Activity.Current?.TraceId.ToString() ?? http.TraceIdentifier;
        var response = http.Response;
        if (problem.Status is 503 or 507 or 429 && response.Headers.RetryAfter.Count == 0)
            response.Headers.RetryAfter = problem.Code == HostProblems.NodeStopped.Code || problem.Status == 507 ? "60" : "2";
        if (!IsMachine(http.Request) && http.RequestServices.GetService<ProblemPage>() is { } page
            && await page(http, problem, detail, reference).ConfigureAwait(false))
            return;
        var body = new Dictionary<string, object?>
        {
            ["type"] = "urn:gongzhi:problem:" + problem.Code,
            ["title"] = title,
            ["status"] = problem.Status,
            ["detail"] = detail,
            ["code"] = problem.Code,
            ["traceId"] = reference,
        };
        foreach (var (name, value) in problem.Extensions)
            body.TryAdd(name, value);
        response.StatusCode = problem.Status;
        response.Headers.CacheControl = "no-store";
        response.Headers.ContentLanguage = CultureInfo.CurrentUICulture.Name;
        if (problem.Status == 401 && response.Headers.WWWAuthenticate.Count == 0)
            response.Headers.WWWAuthenticate = "Bearer";
        var bytes = JsonSerializer.SerializeToUtf8Bytes(body, Json);
        response.ContentType = "application/problem+json";
        response.ContentLength = bytes.Length;
        // Not under RequestAborted: after a time-out that token is the one that ended the request.
        await response.Body.WriteAsync(bytes, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Whether a program asks: API paths and the ledger's files always, elsewhere whoever does not ask for HTML.</summary>
    public static bool IsMachine(HttpRequest request) =>
        request.Path.StartsWithSegments("/api") || request.Path.StartsWithSegments("/ledger/tile")
        || request.Path.StartsWithSegments("/ledger/checkpoint") || request.Path.StartsWithSegments("/ledger/vkey")
        || request.Path.StartsWithSegments("/ledger/witnessed") || request.Path.StartsWithSegments("/witness")
        || request.Path.StartsWithSegments("/open311") || request.Path.StartsWithSegments("/health")
        || !request.Headers.Accept.ToString().Contains("text/html", StringComparison.OrdinalIgnoreCase);

    private sealed class ProblemResult(Problem problem) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext) => WriteAsync(httpContext, problem);
    }
}
