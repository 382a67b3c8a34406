namespace Gongzhi.Ui.Views;

/// <summary>The sign-in page.</summary>
/// <param name="Action">Where the form posts (fields <c>name</c>, <c>password</c>, <c>returnUrl</c>).</param>
/// <param name="ReturnUrl">A path on this site; the host checks it.</param>
/// <param name="UserName">As sent.</param>
/// <param name="Errors">Never tell which of name and password was wrong.</param>
/// <param name="LockedUntil">No attempt is taken before then.</param>
/// <param name="Provider">Signing in at the organisation's own provider, where the site has one.</param>
/// <param name="Passkeys">Offer signing in with a passkey where the browser runs scripts.</param>
public sealed record SignInModel(
    string Action, string? ReturnUrl = null, string? UserName = null, IReadOnlyList<FieldError>? Errors = null,
    DateTimeOffset? LockedUntil = null, ProviderOffer? Provider = null, bool Passkeys = false);

/// <summary>A provider at which people sign in instead (field <c>returnUrl</c>, or <c>name</c> and <c>token</c> of an invitation).</summary>
/// <param name="Action">Where its button posts.</param>
/// <param name="Name">What people call it.</param>
public sealed record ProviderOffer(string Action, string Name);

/// <summary>Who somebody is at the provider, to be told to an administrator.</summary>
/// <param name="Name">Prefix of the sentences: <c>Unlinked</c> or <c>Linked</c>.</param>
/// <param name="Issuer">Who says so.</param>
/// <param name="Subject">What to tell.</param>
public sealed record ProviderIdentityModel(string Name, string Issuer, string Subject);

/// <summary>The second step of signing in (fields <c>code</c>, <c>returnUrl</c>).</summary>
public sealed record CodeModel(string Action, string? ReturnUrl = null, IReadOnlyList<FieldError>? Errors = null);

/// <summary>Creating the first administrator (fields <c>name</c>, <c>password</c>, <c>token</c>).</summary>
/// <param name="Token">The secret of the link.</param>
/// <param name="PasswordLengthMin">Shortest password, in characters.</param>
/// <param name="Provider">Where the link can be used instead; of an invitation only.</param>
public sealed record SetupModel(
    string Action, string Token, int PasswordLengthMin, string? UserName = null, IReadOnlyList<FieldError>? Errors = null, ProviderOffer? Provider = null);

/// <summary>Letting a program act for the one signed in (fields <c>user_code</c>, <c>decision</c> = allow or refuse).</summary>
/// <param name="Code">Code to confirm; null asks for it.</param>
/// <param name="Client">Who asks; null while the code is not known.</param>
public sealed record DeviceModel(string Action, string? Code, string? Client, IReadOnlyList<FieldError>? Errors = null);

/// <summary>Setting up the second step: what the authenticator needs.</summary>
public sealed record EnrolmentModel(string Key, string Uri);

/// <summary>How the one signed in signs in: password, second step, passkeys.</summary>
/// <param name="Enrolment">Setting up has begun.</param>
/// <param name="RecoveryCodes">Shown once, when the second step was turned on.</param>
/// <param name="Changed">The password was just changed.</param>
/// <param name="Password">Whether there is one.</param>
/// <param name="Subject">Who signs in to it at the provider; null: nobody.</param>
public sealed record SecurityModel(
    string UserName, int PasswordLengthMin, bool SecondStep, int Passkeys, EnrolmentModel? Enrolment = null,
    IReadOnlyList<string>? RecoveryCodes = null, bool Changed = false, IReadOnlyList<FieldError>? Errors = null, bool Password = true, string? Subject = null);

/// <summary>A page that only says something.</summary>
/// <param name="Name">Prefix of the sentences, such as <c>DeviceDone</c>.</param>
/// <param name="Good">Done, as against not possible.</param>
public sealed record MessageModel(string Name, bool Good);
